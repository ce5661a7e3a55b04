"""Lets go of connections before the process ends."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.drain import Drain

CLOSE = (b"connection", b"close")


class Draining:
    """Adds ``Connection: close`` while draining, so that clients come back to another process."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app = app
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        # HTTP/2 has no such header (RFC 9113, section 8.2.2); the server sends GOAWAY there.
        if scope["type"] != "http" or scope["http_version"] == "2":
            await self.app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            # Asked here and not above: a drain may begin while the request is at work.
            if self.drain.active and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), CLOSE]
            await send(message)

        await self.app(scope, receive, send_last)
