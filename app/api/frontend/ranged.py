"""A file, or the parts of it that a request asks for."""

from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable

from app.api.v1.stored_file import RangeNotSatisfiableException


class RangedFileResponse(FileResponse):
    """Starlette's, which answers its two faults in plain text: ours have one form, or are none."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []  # to be ignored (RFC 9110, section 14.2)
        except RangeNotSatisfiable as error:
            headers = {"content-range": f"bytes */{file_size}"}
            raise RangeNotSatisfiableException(headers=headers) from error
