"""Which web pages may read the answers."""

from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.exceptions.base import BadRequestException
from app.exceptions.handlers import error_response

VARY: Final = (b"vary", b"Origin")
"""Caches keep one answer for each origin (Fetch standard, section 3.2.5)."""


class Cors(CORSMiddleware):
    """Starlette's, with refused preflights in the one form of errors."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http" or any(name == b"origin" for name, _ in scope["headers"]):
            await super().__call__(scope, receive, send)
            return

        # What is not asked by a page of another origin needs no more than this, and no parsed headers.
        async def send_varied(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), VARY]
            await send(message)

        await self.app(scope, receive, send_varied)

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a preflight (Fetch standard, section 3.2.2); what it does not grant it refuses."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refusal = BadRequestException(f"{bytes(response.body).decode()}.")
        return error_response({"headers": request_headers.raw}, refusal)
