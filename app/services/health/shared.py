"""One answer for many askers."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Makes a value when it is asked for, once for all who ask at the same time, and keeps it for a while.

    Args:
        make: makes the value; bounded in time.
        seconds: how long a value stays good.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], seconds: float = 1.0) -> None:
        self._make = make
        self._seconds = seconds
        self._task: asyncio.Task[T] | None = None
        self._good_until = 0.0

    async def get(self) -> T:
        """The value, at most ``seconds`` old. An asker who goes away does not take it from the others."""
        if self._task is None or (self._task.done() and monotonic() >= self._good_until):
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(self._task)

    async def aclose(self) -> None:
        """End what is still being made."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> T:
        try:
            return await self._make()
        finally:
            self._good_until = monotonic() + self._seconds
