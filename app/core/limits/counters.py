"""Counters that all processes share in Redis; while it is away or slow each process counts for itself.

A process alone allows its share of each limit, so that all together stay near it: nothing is let through
without a limit, and nobody is refused only because Redis is away.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.config.groups import RateLimitSettings, RedisSettings
from app.core.limits.windows import Limit
from app.core.redis import KEY_PREFIX, create_redis

logger = logging.getLogger(__name__)

PREFIX: Final = KEY_PREFIX + "limits"
PAUSE: Final = 1.0
"""Seconds for which Redis is left alone after it failed; then one request tries it again."""
CONNECTIONS: Final = 4
"""Questions to Redis at a time: each is short, while opening many connections at once takes long."""
MOST_KEYS: Final = 10_000
"""Keys that one process counts alone. Their library looks at all of them each time it counts."""

T = TypeVar("T")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted.

    Args:
        value: in this window, what was just added included.
        bound: how much may be counted: the limit, or this process's share of it.
        wait: whole seconds until the window ends.
    """

    value: int
    bound: int
    wait: int

    @property
    def is_over(self) -> bool:
        """Whether it is more than what may be."""
        return self.value > self.bound


class Counters:
    """Counts by key and window.

    Args:
        redis: a client that nothing else uses; closed by ``aclose``.
        processes: how many processes share a limit while each counts alone.
        patience: seconds to wait for Redis.
        clock: the time in seconds since 1970.
    """

    def __init__(self, redis: Redis, *, processes: int, patience: float, clock: Clock = time.time) -> None:
        self._redis = redis
        self._processes = processes
        self._patience = patience
        self.clock = clock
        # The pool says where Redis is; the address only has to name the kind of server.
        self._shared = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=PREFIX,
            connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # its types forget this option
        )
        self._own = MemoryStorage()
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._away_until = 0.0
        self._is_away = False

    @classmethod
    def from_settings(cls, redis: RedisSettings, limits: RateLimitSettings, processes: int) -> Self:
        """Counters with a client of their own, whose waits are short."""
        client = create_redis(redis.model_copy(update={"timeout": limits.patience}))
        return cls(client, processes=processes, patience=limits.patience)

    async def aclose(self) -> None:
        """Close the client."""
        await self._redis.aclose()

    async def add(self, limit: Limit, key: str, amount: int = 1, *, at: float | None = None) -> Count:
        """Count in the present window, or in that of another moment; a negative amount gives back."""
        now = self.clock() if at is None else at
        window = limit.window(key, now)
        value = await self._asked(lambda: self._shared.incr(window.name, limit.seconds, amount))
        if value is not None:
            return Count(value, limit.amount, window.left(now))
        if len(self._own.storage) >= MOST_KEYS:
            await self._own.reset()
        value = await self._own.incr(window.name, limit.seconds, amount)
        return Count(value, self.share(limit), window.left(now))

    async def read(self, limit: Limit, key: str) -> Count:
        """What was counted in the present window."""
        now = self.clock()
        window = limit.window(key, now)
        value = await self._asked(lambda: self._shared.get(window.name))
        if value is not None:
            return Count(value, limit.amount, window.left(now))
        return Count(await self._own.get(window.name), self.share(limit), window.left(now))

    async def clear(self, limit: Limit, key: str) -> None:
        """Begin the present window anew, wherever it was counted."""
        window = limit.window(key, self.clock())
        await self._own.clear(window.name)
        await self._asked(lambda: self._shared.clear(window.name))

    def share(self, limit: Limit) -> int:
        """What one process allows while it counts alone."""
        return max(1, limit.amount // self._processes)

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What Redis answers, or None where it is away or too slow."""
        now = time.monotonic()
        if now < self._away_until:
            return None
        if self._is_away:
            # This one tries; the others need not wait for it.
            self._away_until = now + PAUSE
        try:
            async with asyncio.timeout(self._patience), self._free:
                answer = await ask()
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._note_away(error)
            return None
        self._note_back()
        return answer

    def _note_away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + PAUSE
        if not self._is_away:
            self._is_away = True
            logger.warning(
                "limits_redis_away",
                extra={"error": type(error).__name__, "hint": "each process counts for itself meanwhile"},
            )

    def _note_back(self) -> None:
        self._away_until = 0.0
        if self._is_away:
            self._is_away = False
            logger.info("limits_redis_back")
