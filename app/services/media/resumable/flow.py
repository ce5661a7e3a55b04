"""The body of a request, by one who does not wait for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Self


class Flow:
    """The chunks of a body. To be entered, and left when no more are wanted."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._coming: asyncio.Task[bytes | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._coming is not None:
            self._coming.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await self._coming

    async def has_come(self, seconds: float | None) -> bool:
        """Wait for the next chunk, or the end; whether one was there in time."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._next())
        await asyncio.wait({self._coming}, timeout=seconds)
        return self._coming.done()

    async def take(self) -> bytes | None:
        """The next chunk; None at the end."""
        await self.has_come(None)
        coming, self._coming = self._coming, None
        return coming.result() if coming else None

    async def _next(self) -> bytes | None:
        return await anext(self._body, None)
