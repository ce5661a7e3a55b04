"""Headers that keep browsers and caches from doing more with an answer than it is for."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.services.media.links import PARAMETER

Header = tuple[bytes, bytes]

CONTENT_SECURITY_POLICY: Final = b"content-security-policy"
NOTHING: Final = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The policy of data: it is never a page. Pages of this system send their own."""
COMMON: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
HSTS: Final[Header] = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
"""Two years, as RFC 6797 (section 11.2) leaves to the operator; only where production serves HTTPS."""

CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key", b"cookie"})
"""Headers of requests whose answers may be somebody's alone, errors too."""
SIGNED: Final = f"{PARAMETER}=".encode()
"""In the query of requests by a signed link, whose answers are no less."""
CACHE_CONTROL: Final = b"cache-control"
PRIVATE: Final[Header] = (CACHE_CONTROL, b"private, no-cache")
"""Kept by the client alone and checked before each use (RFC 9111, sections 5.2.2.4 and 5.2.2.7)."""


class SecurityHeaders:
    """Adds the headers; a policy that the answer brings with it stays, with its other headers, and so does
    a rule for caches."""

    def __init__(self, app: ASGIApp, *, production: bool) -> None:
        self.app = app
        self._common = [*COMMON, HSTS] if production else [*COMMON]
        self._whole = [*self._common, (CONTENT_SECURITY_POLICY, NOTHING)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        is_private = SIGNED in scope["query_string"] or not CREDENTIALS.isdisjoint(
            [name for name, _ in scope["headers"]]
        )

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                names = {name for name, _ in headers}
                added = self._whole
                if CONTENT_SECURITY_POLICY in names:
                    added = [header for header in self._common if header[0] not in names]
                caching = [PRIVATE] if is_private and CACHE_CONTROL not in names else []
                message["headers"] = [*headers, *added, *caching]
            await send(message)

        await self.app(scope, receive, send_with_headers)
