"""Answers that send a file, or the parts of it that the request asks for (RFC 9110, section 14)."""

from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable

from app.exceptions.base import AppException


class RangeNotSatisfiableException(AppException):
    """The range lies outside the file (RFC 9110, section 15.5.17)."""

    status_code = 416
    code = "range_not_satisfiable"
    default_message = "The range lies outside the file."


class RangedFileResponse(FileResponse):
    """Starlette's, with its two faults put right."""

    chunk_size = 256 * 1024

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        # Starlette answers both faults in plain text; ours have one form, and a malformed range is to be
        # ignored (RFC 9110, section 14.2).
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []
        except RangeNotSatisfiable as error:
            raise RangeNotSatisfiableException(
                f"The range lies outside the file of {file_size} bytes.",
                details={"size": file_size},
                headers={"content-range": f"bytes */{file_size}"},
            ) from error
