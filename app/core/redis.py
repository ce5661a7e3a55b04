"""The Redis client: every wait bounded, half-open connections found."""

import socket
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.core.config.groups import RedisSettings

KEY_PREFIX: Final = "holdfast:"

KEEPALIVE: Final[dict[int, int]] = {
    option: value
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if (option := getattr(socket, name, None)) is not None
}


def create_redis(redis: RedisSettings) -> Redis:
    """A client that never waits longer than ``REDIS_TIMEOUT`` for a connection or an answer."""
    address = redis.url.get_secret_value()
    keepalive: dict[str, Any] = {}
    if not address.startswith("unix:"):
        keepalive = {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    return Redis.from_url(
        address,
        socket_timeout=redis.timeout,
        socket_connect_timeout=redis.timeout,
        health_check_interval=5,
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
        **keepalive,
    )
