"""The connections that wait for a next request."""

import asyncio
from collections.abc import Awaitable, Callable

from hypercorn.typing import WorkerContext

Close = Callable[[], Awaitable[None]]


class IdleConnections:
    """Closes each after its time, and all that are left when the server ends.

    Hypercorn starts a task for each before a request and cancels it after; a timer costs next to nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timers: dict[Close, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    def enter(self, close: Close, context: WorkerContext) -> None:
        """Begin to wait; ``close`` closes the connection, ``context`` knows when the server ends."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._until_end(context))
        loop = asyncio.get_running_loop()
        self._timers[close] = loop.call_later(self._seconds, self._close, close)

    def leave(self, close: Close) -> None:
        """A request came, or the connection is gone."""
        timer = self._timers.pop(close, None)
        if timer is not None:
            timer.cancel()

    def _close(self, close: Close) -> None:
        self.leave(close)
        closing = asyncio.ensure_future(close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _until_end(self, context: WorkerContext) -> None:
        await context.terminated.wait()
        for close in list(self._timers):
            self._close(close)
