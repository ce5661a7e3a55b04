"""The last place where an error can become an answer."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.exceptions.handlers import error_response

logger = logging.getLogger(__name__)


class Errors:
    """Answers what was raised below it, in the one form. The layers above it add their headers to that."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        except Exception as error:
            if started:
                # Too late for a status: the server cuts the answer off, so that it is not taken for whole.
                raise
            await error_response(scope, error)(scope, receive, send)
