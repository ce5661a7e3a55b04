"""Answers that send a durable object: ranges, validators, and headers that keep a browser from running it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Request, Response, status
from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable

from app.exceptions.base import AppException
from app.services.media.files import Download
from app.services.media.names import content_disposition
from app.services.versions import names

_SAFE: Final = {
    # In place of the policy of data, which would keep a player from playing.
    "content-security-policy": "sandbox",
    # Kept by the owner's own client alone, and checked with us before each use.
    "cache-control": "private, no-cache",
}


class RangeNotSatisfiableException(AppException):
    """The range lies outside the file (RFC 9110, section 15.5.17)."""

    status_code = 416
    code = "range_not_satisfiable"
    default_message = "The range lies outside the file."


class StoredFileResponse(FileResponse):
    """A file, or the ranges of it that the request asks for, from wherever its object is."""

    chunk_size = 256 * 1024

    def __init__(self, download: Download, *, disposition: str) -> None:
        self._download = download
        super().__init__(
            download.key,
            media_type=download.mime_type,
            stat_result=download.facts,
            headers=_SAFE
            | {
                "etag": entity_tag(download),
                "content-disposition": content_disposition(download.name, kind=disposition),
            },
        )

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        # All that Starlette asks of a file, an object can do: it seeks, and reads on from there.
        async with self._download.workspace.open(self._download.key) as file:
            yield file

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


def entity_tag(download: Download) -> str:
    """A strong validator: the hash of the content (RFC 9110, section 8.8.3)."""
    return f'"{download.key}"'


def is_current(request: Request, download: Download) -> bool:
    """Whether the client's copy is this very content (RFC 9110, section 13.1.2)."""
    return names(request.headers.get("if-none-match"), entity_tag(download))


def not_modified(download: Download) -> Response:
    """The answer to a client whose copy is current."""
    return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=_SAFE | {"etag": entity_tag(download)})
