"""Answers that send a durable object: ranges, validators, and headers that keep a browser from running it."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Request, Response, status
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from app.api.v1 import ranges
from app.exceptions.base import AppException
from app.services.media.files import Download
from app.services.media.names import content_disposition
from app.services.versions import PreconditionFailedException, names

ANYWHERE: Final = {"cross-origin-resource-policy": "cross-origin"}
"""For who may be shown a file on any page: by default the pages of this site alone may embed it."""

_SAFE: Final = {
    # In place of the policy of data, which would keep a player from playing.
    "content-security-policy": "sandbox",
    # Kept by the owner's own client alone, and checked with us before each use.
    "cache-control": "private, no-cache",
    # Pages of other sites cannot pull it into their process; reading it by script is up to CORS.
    "cross-origin-resource-policy": "same-site",
}


class RangeNotSatisfiableException(AppException):
    """The range lies outside the file (RFC 9110, section 15.5.17)."""

    status_code = 416
    code = "range_not_satisfiable"
    default_message = "The range lies outside the file."


class StoredFileResponse(FileResponse):
    """A file, or the ranges of it that the request asks for, from wherever its object is."""

    chunk_size = 256 * 1024

    def __init__(
        self, download: Download, *, disposition: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._download = download
        super().__init__(
            download.key,
            media_type=download.mime_type,
            stat_result=download.facts,
            headers=_SAFE
            | {
                "etag": entity_tag(download),
                "content-disposition": content_disposition(download.name, kind=disposition),
            }
            | dict(headers or {}),
        )

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        # All that Starlette asks of a file, an object can do: it seeks, and reads on from there.
        async with self._download.workspace.open(self._download.key) as file:
            yield file

    def set_stat_headers(self, stat_result: os.stat_result) -> None:
        """Tell the size, and not the time: equal files share one, and it would tell that another had it."""
        self.headers.setdefault("content-length", str(stat_result.st_size))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Ranges are defined for GET alone (RFC 9110, section 14.2)."""
        if scope["method"] != "GET":
            scope = {**scope, "headers": [field for field in scope["headers"] if field[0] != b"range"]}
        await super().__call__(scope, receive, send)

    def _should_use_range(self, http_if_range: str) -> bool:
        return http_if_range == self.headers["etag"]

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        # Starlette refuses what it should ignore, and answers in plain text.
        try:
            return ranges.spans(http_range, file_size)
        except ranges.UnsatisfiableRangeError as error:
            raise RangeNotSatisfiableException(
                f"The range lies outside the file of {file_size} bytes.",
                details={"size": file_size},
                headers={"content-range": f"bytes */{file_size}"},
            ) from error


def respond(
    request: Request, download: Download, *, disposition: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The file, what the request asks of it, or that the client's copy is current.

    Conditions count in the order of RFC 9110, section 13.2.2; ``If-Range`` comes last.

    Args:
        request: its conditions and ranges.
        download: the object.
        disposition: ``inline`` or ``attachment``.
        headers: in place of those of every file, or besides them.

    Raises:
        PreconditionFailedException: the request asks for another content.
        RangeNotSatisfiableException: as it is sent: the range lies outside the file.
    """
    tag = entity_tag(download)
    if_match = request.headers.get("if-match")
    if if_match is not None and not _names_strongly(if_match, tag):
        raise PreconditionFailedException(
            "The file is not the one of `If-Match`: download it from its start."
        )
    if names(request.headers.get("if-none-match"), tag):
        kept = _SAFE | {"etag": tag} | dict(headers or {})
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=kept)
    return StoredFileResponse(download, disposition=disposition, headers=headers)


def entity_tag(download: Download) -> str:
    """A strong validator: the hash of the content (RFC 9110, section 8.8.3)."""
    return f'"{download.key}"'


def _names_strongly(field: str, tag: str) -> bool:
    """Whether ``If-Match`` names this very content (RFC 9110, section 13.1.1)."""
    return field.strip() == "*" or tag in (given.strip() for given in field.split(","))
