"""The files of the built front end, and its first page for every path that only the front end knows."""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from mimetypes import MimeTypes
from pathlib import Path
from typing import Final

from anyio import to_thread
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.frontend.policy import PagePolicy
from app.api.frontend.ranged import RangedFileResponse
from app.core.config import AppSettings
from app.core.frontend import ASSETS, ASSETS_ROUTE, INDEX, PAGES_ROUTE
from app.exceptions.base import NotFoundException
from app.services.versions import names

RESERVED: Final = frozenset({"api", "health", "ready", "metrics", "docs", "redoc", "openapi.json"})
"""First parts of the system's own paths: what is unknown below them is an error, never a page."""
WELL_KNOWN: Final = ".well-known"
"""The one name with a leading dot that is meant for everybody (RFC 8615)."""

FOREVER: Final = "public, max-age=31536000, immutable"
"""A changed asset has another name (RFC 8246)."""
CHECKED: Final = "no-cache"
"""Everything else is kept, and asked about before each use (RFC 9111, section 5.2.2.4)."""

HEADERS: Final = {
    # In place of those of data: pages may ask their user for these, and say to this server where they are.
    "permissions-policy": "camera=(self), geolocation=(self), microphone=(self), payment=(), usb=()",
    "referrer-policy": "same-origin",
}

_MISSING: Final = frozenset({errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG})
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_TYPES: Final = MimeTypes()  # Python's own table: the same on every machine
for _type, _suffix in (
    ("application/json", ".map"),
    ("application/manifest+json", ".webmanifest"),
    ("font/woff", ".woff"),
    ("font/woff2", ".woff2"),
    ("image/avif", ".avif"),
    ("image/webp", ".webp"),
    ("text/javascript", ".js"),
    ("text/javascript", ".mjs"),
):
    _TYPES.add_type(_type, _suffix)


def install(app: FastAPI, settings: AppSettings) -> None:
    """Serve the front end where no route matched: no request that a route answers comes by here."""
    if settings.enable_static_files:
        frontend = Frontend(settings.frontend_dir, PagePolicy(settings), otherwise=app.router.default)
        app.router.default = frontend


@dataclass(frozen=True, slots=True)
class _Route:
    """What the access log and the metrics call the answer."""

    path: str


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    facts: os.stat_result
    etag: str
    policy: str


class Frontend(StaticFiles):
    """Answers GET and HEAD for files of a folder; what is not its own it leaves to the one after it.

    Starlette resolves each path and refuses what is outside the folder, by links too. A validator is a hash
    of the content, for images are built with all times alike, and pages of two versions often have one size.

    Args:
        folder: the built front end; it has an index.html (``app.core.config.checks``).
        policy: what its pages may do.
        otherwise: answers everything else, with an error.
    """

    def __init__(self, folder: Path, policy: PagePolicy, *, otherwise: ASGIApp) -> None:
        super().__init__(directory=folder, check_dir=False)
        self._policy = policy
        self._otherwise = otherwise
        self._content = lru_cache(maxsize=4096)(self._read)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        answer: ASGIApp | None = None
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and _may_be_ours(scope["path"]):
            answer = await self._answer(scope)
        await (answer or self._otherwise)(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response | None:
        """The file, or the first page for a path that is one of the front end's own.

        Raises:
            NotFoundException: there is no such asset; a page in its place would be run as a script.
        """
        # Slashes that are doubled by a join lead to the same file: by another rule it would be a page's.
        is_asset = f"/{scope['path'].lstrip('/')}".startswith(ASSETS)
        headers = Headers(scope=scope)
        scope["route"] = _Route(ASSETS_ROUTE if is_asset else PAGES_ROUTE)
        file = await to_thread.run_sync(self._find, self.get_path(scope), not is_asset)
        if file is None and is_asset:
            # Not to be remembered: while versions change, another container may have it.
            raise NotFoundException(
                "The front end has no such file: reload the page.", headers={"Cache-Control": "no-store"}
            )
        if file is None and _wants_a_page(headers.get("accept", "*/*"), scope["path"]):
            file = await to_thread.run_sync(self._find, INDEX, True)
        if file is None:
            del scope["route"]
            return None
        return _response(file, headers, caching=FOREVER if is_asset else CHECKED)

    def _find(self, path: str, with_index: bool) -> _File | None:
        try:
            full, facts = self.lookup_path(path)
            if with_index and facts is not None and stat.S_ISDIR(facts.st_mode):
                full, facts = self.lookup_path(os.path.join(path, INDEX))  # noqa: PTH118 - Starlette's kind
            if facts is None or not stat.S_ISREG(facts.st_mode):
                return None
            return _File(full, facts, *self._content(full, facts.st_ino, facts.st_size, facts.st_mtime_ns))
        except ValueError:
            return None  # a character that no name can have
        except OSError as error:
            if error.errno in _MISSING:
                return None
            raise

    def _read(self, path: str, *_version: int) -> tuple[str, str]:
        """A file's validator and policy; asked for anew when the file is another."""
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        page = Path(path).read_bytes() if path.endswith(".html") else b""
        return f'"{digest}"', self._policy.of(page)


def _may_be_ours(path: str) -> bool:
    """Whether a path could be the front end's: not the system's, not hidden, and not made to deceive."""
    parts = path.lstrip("/").split("/")
    hidden = any(part.startswith(".") and part != WELL_KNOWN for part in parts)
    return parts[0] not in RESERVED and not hidden and "\\" not in path and path.isprintable()


def _wants_a_page(accept: str, path: str) -> bool:
    """Whether this is a navigation: a page is asked for, or anything, by a name that is no file's."""
    types = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return bool(types & _HTML) or ("*/*" in types and "." not in path.rpartition("/")[2])


def _response(file: _File, asked: Headers, *, caching: str) -> Response:
    headers = HEADERS | {
        "cache-control": caching,
        "content-security-policy": file.policy,
        "etag": file.etag,
    }
    if names(asked.get("if-none-match"), file.etag):
        # With the policy too: a browser puts the headers of this answer over those that it has kept.
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    media_type = _TYPES.guess_type(file.path)[0] or "application/octet-stream"
    return RangedFileResponse(file.path, headers=headers, media_type=media_type, stat_result=file.facts)
