"""Ends what would never end by itself when the process leaves: event streams and websockets."""

import asyncio
import random
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.middleware.event_streams import is_event_stream

_SERVICE_RESTART: Final = 1012
"""RFC 6455, section 7.4.2, registered with IANA: the client may connect again, to another process."""

RETRY: Final = (100, 1000)
"""Milliseconds, from and to, after which the client of an ended event stream connects again."""


class Streams:
    """The outermost layer: knows the requests that have no end of their own.

    An event stream is ended as if its source had ended, so that its client connects again, elsewhere, from
    where it was; a websocket is closed with code 1012. Everything else has the server's grace to finish.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: set[asyncio.Task[object]] = set()
        self._ending = False

    def end(self) -> None:
        """End all that are open, and each that is opened from now on."""
        self._ending = True
        for task in self._open:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and remember what is open."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = _this_task()

        async def watch(message: Message) -> None:
            # Often sent by a task of the response's own, so the request's one is asked for above.
            if message["type"] == "http.response.start" and is_event_stream(message):
                self._enter(task)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except asyncio.CancelledError:
            if not (self._ending and task in self._open):
                raise
            task.uncancel()
            await send({"type": "http.response.body", "body": _last_words(), "more_body": False})
        finally:
            self._open.discard(task)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = _this_task()
        self._enter(task)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._ending:
                raise
            task.uncancel()
            await send({"type": "websocket.close", "code": _SERVICE_RESTART, "reason": "restarting"})
        finally:
            self._open.discard(task)

    def _enter(self, task: asyncio.Task[object]) -> None:
        self._open.add(task)
        if self._ending:
            task.cancel()


def _last_words() -> bytes:
    """Asks the client to connect again soon; at random, so that not all come at once."""
    return f"retry: {random.randint(*RETRY)}\n\n".encode()  # noqa: S311 - spreads load, guards nothing


def _this_task() -> asyncio.Task[object]:
    """The task that runs this request; Hypercorn gives each its own."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("an ASGI application runs in a task")
    return task
