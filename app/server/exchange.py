"""One request and its answer, where the answer leaves in one piece if it can."""

from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.protocol.events import Response
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ASGISendEvent, HTTPResponseStartEvent


class Exchange(HTTPStream):
    """Holds the head of an answer of known length back until its body begins: one write in place of two.

    ASGI asks servers to wait like this (HTTP specification, "Response Start"), so an application that fails
    between head and body is answered for with 500. A head without a length leaves at once: an event stream's
    first event may be far away.
    """

    def __init__(
        self,
        *given: Any,
        cork: Callable[[], None],
        uncork: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(*given)
        self._cork = cork
        self._uncork = uncork
        self._start: HTTPResponseStartEvent | None = None

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Take what the application sends, or None at its end."""
        start = self._start
        if start is None:
            if message is not None and message["type"] == "http.response.start" and self._may_wait(message):
                self._start = message
            else:
                await super().app_send(message)
            return
        self._start = None
        if message is None:
            await super().app_send(None)
            return
        self._cork()
        try:
            await self._send_head(start)
            await super().app_send(message)
        finally:
            await self._uncork()

    async def _send_head(self, start: HTTPResponseStartEvent) -> None:
        self.response = start
        headers = [(name.strip(), value.strip()) for name, value in start["headers"]]
        await self.send(Response(stream_id=self.stream_id, headers=headers, status_code=start["status"]))
        self.state = ASGIHTTPState.RESPONSE

    def _may_wait(self, start: HTTPResponseStartEvent) -> bool:
        if self.state is ASGIHTTPState.REQUEST:
            for name, _ in start.get("headers", ()):
                if name == b"content-length":
                    return True
        return False
