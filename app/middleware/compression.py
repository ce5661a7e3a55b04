"""Answers in fewer bytes, where that tells nobody a secret."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type

from app.exceptions.handlers import PROBLEM_TYPE

Headers = list[tuple[bytes, bytes]]

MINIMUM_SIZE: Final = 500
"""Bytes of an answer that are worth it; one packet holds more."""
ZSTD_LEVEL: Final = 3
BROTLI_QUALITY: Final = 4
GZIP_LEVEL: Final = 4
"""Cheap in time and memory: this runs between the requests of one process."""

TYPES: Final = (
    b"application/json",
    PROBLEM_TYPE.encode(),
    b"application/javascript",
    b"application/xml",
    b"image/svg+xml",
    b"text/css",
    b"text/html",
    b"text/javascript",
    b"text/plain",
    b"text/xml",
)
"""What gets smaller. Media does not, and an event in a stream of events must not wait for the next one."""

FORBIDDING: Final = frozenset({b"set-cookie", b"content-range", b"content-encoding"})
"""Headers of answers that are left as they are."""

SECRET: Final = (
    "/api/v1/admin",
    "/api/v1/api-keys",
    "/api/v1/auth",
    "/api/v1/sessions",
    "/api/v1/users/me",
)
"""Where answers mix secrets with what a request can choose: their length would tell (the attack BREACH)."""
FILES: Final = "/api/v1/media/"
"""Below it are people's own files, which come as they are and in ranges."""

_TAKE: Final = "holdfast.take_send"


class Compression:
    """Compresses by zstd, br or gzip, whichever comes first of those that the client accepts.

    The library does it; what is decided here is whether it may. Besides the paths above it never does for
    answers with cookies, for those that nobody may store or transform, and for parts of a file.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        add_compress_type(PROBLEM_TYPE)
        self._library = CompressMiddleware(
            _hand_over,
            minimum_size=MINIMUM_SIZE,
            zstd_level=ZSTD_LEVEL,
            brotli_quality=BROTLI_QUALITY,
            gzip_level=GZIP_LEVEL,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http" or scope["method"] == "HEAD" or _is_excepted(scope["path"]):
            await self.app(scope, receive, send)
            return
        chosen = send

        async def send_chosen(message: Message) -> None:
            nonlocal chosen
            if message["type"] == "http.response.start" and _may_be(message):
                message["headers"] = list(message["headers"])
                chosen = await self._compressing(scope, receive, send)
            await chosen(message)

        await self.app(scope, receive, send_chosen)

    async def _compressing(self, scope: Scope, receive: Receive, send: Send) -> Send:
        """What the library sends an answer through. It is asked for those alone that it may compress."""

        async def send_corrected(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _corrected(message["headers"])
            await send(message)

        taken: list[Send] = []
        await self._library({**scope, _TAKE: taken.append}, receive, send_corrected)
        return taken[0]


async def _hand_over(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the application behind the library, whose answer comes later than the library expects."""
    scope[_TAKE](send)


def _is_excepted(path: str) -> bool:
    if path.startswith(FILES):
        return path.count("/") > FILES.count("/")
    return path.startswith(SECRET)


def _may_be(start: Message) -> bool:
    media_type, control = b"", b""
    for name, value in start.get("headers", ()):
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
        elif name == b"cache-control":
            control += value.lower()
        elif name in FORBIDDING or (name == b"content-length" and _is_short(value)):
            return False
    if b"no-store" in control or b"no-transform" in control:
        return False
    return media_type in TYPES and start["status"] != 206


def _is_short(length: bytes) -> bool:
    return length.isdigit() and int(length) < MINIMUM_SIZE


def _corrected(headers: Headers) -> Headers:
    """What is compressed means the same and is not the same bytes (RFC 9110, sections 8.8.1 and 14.3)."""
    if not any(name == b"content-encoding" for name, _ in headers):
        return headers
    return [_weak(*header) for header in headers if header[0] != b"accept-ranges"]


def _weak(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return (name, b"W/" + value) if name == b"etag" and not value.startswith(b"W/") else (name, value)
