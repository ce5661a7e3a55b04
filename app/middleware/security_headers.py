"""Headers that keep browsers from doing more with an answer than it is for."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class SecurityHeaders:
    """Adds the headers; a policy that the answer brings with it stays."""

    def __init__(self, app: ASGIApp, *, production: bool) -> None:
        self.app = app
        self._common = [*COMMON, HSTS] if production else [*COMMON]
        self._whole = [*self._common, (CONTENT_SECURITY_POLICY, NOTHING)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                has_policy = any(name == CONTENT_SECURITY_POLICY for name, _ in headers)
                message["headers"] = [*headers, *(self._common if has_policy else self._whole)]
            await send(message)

        await self.app(scope, receive, send_with_headers)
