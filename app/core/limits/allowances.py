"""What a limit still allows, without a question to Redis at each request.

A process takes from the counters in chunks and spends those by itself. What it spends was counted before, so
all processes together never allow more than the limit; what one of them took and nobody asked it for is lost
with the window, so they may allow less, by a chunk a process at most.
"""

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple

from app.core.limits.counters import Counters
from app.core.limits.windows import Limit

CHUNKS: Final = 30
"""Chunks of one window."""
LARGEST_CHUNK: Final = 100
REMEMBERED: Final = 20_000
"""Keys that one process holds chunks for. Who is pushed out takes a new chunk at the next request."""
REFUSED_FOR: Final = 1.0
"""Seconds for which a key that has nothing left is refused without asking again."""


class Standing(NamedTuple):
    """Where a key stands after a request: ``wait`` in whole seconds until its window ends."""

    is_allowed: bool
    limit: Limit
    remaining: int
    wait: int


class _Purse:
    """What this process took for one key in one window, and has not spent yet."""

    __slots__ = ("elsewhere", "end", "left", "lock", "refused_until")

    def __init__(self, end: float) -> None:
        self.end = end
        self.left = 0
        self.elsewhere = 0  # what nobody has taken yet
        self.refused_until = 0.0
        self.lock = asyncio.Lock()

    def needs_more(self, now: float) -> bool:
        """Whether nothing is left here, and it is not known that nothing is left elsewhere."""
        return not self.left and now >= self.refused_until


class Allowances:
    """Spends what limits allow.

    Args:
        counters: what all processes share.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._purses: OrderedDict[str, _Purse] = OrderedDict()

    async def spend(self, limit: Limit, key: str, *, chunk: int | None = None) -> Standing:
        """Spend one of what a limit allows to a key, if there is one.

        Args:
            limit: how many, in which time.
            key: whose; the same key always comes with the same limit.
            chunk: how many to take from the counters at once; chosen by the limit where it is not given.
        """
        now = self._counters.clock()
        purse = self._purses.get(key)
        if purse is None or now >= purse.end:
            purse = self._open(limit, key, now)
        if purse.needs_more(now):
            async with purse.lock:
                # Who waited for the lock may find what another took.
                if purse.needs_more(now):
                    await self._fill(purse, limit, key, chunk or chunk_of(limit))
                return _spent(purse, limit, now)
        self._purses.move_to_end(key)
        return _spent(purse, limit, now)

    def _open(self, limit: Limit, key: str, now: float) -> _Purse:
        purse = self._purses[key] = _Purse(limit.window(key, now).end)
        self._purses.move_to_end(key)
        if len(self._purses) > REMEMBERED:
            self._purses.popitem(last=False)
        return purse

    async def _fill(self, purse: _Purse, limit: Limit, key: str, chunk: int) -> None:
        count = await self._counters.add(limit, key, chunk)
        purse.left = min(chunk, max(0, count.bound - (count.value - chunk)))
        purse.elsewhere = max(0, count.bound - count.value)
        if not purse.left:
            purse.refused_until = self._counters.clock() + REFUSED_FOR


def chunk_of(limit: Limit) -> int:
    """How many a process takes at once."""
    return max(1, min(limit.amount // CHUNKS, LARGEST_CHUNK))


def _spent(purse: _Purse, limit: Limit, now: float) -> Standing:
    is_allowed = purse.left > 0
    if is_allowed:
        purse.left -= 1
    return Standing(is_allowed, limit, purse.left + purse.elsewhere, max(1, int(purse.end - now + 0.999)))
