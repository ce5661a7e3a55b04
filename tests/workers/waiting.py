"""Waiting for a condition, bounded, without blocking the event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.servers import DEADLINE


async def until(condition: Callable[[], Awaitable[object]], what: str, timeout: float = DEADLINE) -> None:
    """Ask until it holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    end = time.monotonic() + timeout
    while not await condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true within {timeout} s")
        await asyncio.sleep(0.05)
