"""Who completed a cycle lately: workers that consumed a message, beats that sent one.

One sorted set in Redis, scored with Redis's own clock, so that reading costs one trip and machines' clocks
do not matter. It is kept by the living: entries that are not renewed leave it.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import redis as blocking
from redis.asyncio import Redis

from app.core.redis import KEY_PREFIX

KEY: Final = f"{KEY_PREFIX}heartbeats"
LIFETIME: Final = 30
"""Seconds that a completed cycle counts for."""

WORKER: Final = "worker"
BEAT: Final = "beat"

_WRITE: Final = """
local now = redis.call('TIME')
local seconds = now[1] + now[2] / 1000000
redis.call('ZADD', KEYS[1], seconds, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', seconds - ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""
_READ: Final = """
local now = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], now[1] - ARGV[1], '+inf', 'WITHSCORES')
"""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last cycle that a worker or beat completed."""

    kind: str
    name: str
    completed_at: datetime


async def read_heartbeats(redis: Redis) -> list[Heartbeat]:
    """Every worker's and beat's last completed cycle of the last ``LIFETIME`` seconds.

    Raises:
        redis.RedisError: Redis is away.
    """
    answer: Any = await redis.eval(_READ, 1, KEY, str(LIFETIME))
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return [_heartbeat(member, float(score)) for member, score in pairs]


def write_heartbeat(redis: "blocking.Redis", kind: str, name: str) -> None:
    """Record that a worker or beat completed a cycle now.

    Raises:
        redis.RedisError: Redis is away.
    """
    redis.eval(_WRITE, 1, KEY, json.dumps([kind, name]), str(LIFETIME))


def _heartbeat(member: str, seconds: float) -> Heartbeat:
    kind, name = json.loads(member)
    return Heartbeat(kind, name, datetime.fromtimestamp(seconds, UTC))
