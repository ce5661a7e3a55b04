"""A client of Redis for threads that must go on when the event loop does not."""

from typing import Any, Final

import redis

from app.core.redis import KEEPALIVE

BROKER_TIMEOUT: Final = 1.0


def broker_client(address: str) -> redis.Redis:
    """A client that waits a second at most and never tries twice: the next cycle does."""
    options: dict[str, Any] = {} if address.startswith("unix:") else {"socket_keepalive_options": KEEPALIVE}
    return redis.Redis.from_url(
        address,
        socket_timeout=BROKER_TIMEOUT,
        socket_connect_timeout=BROKER_TIMEOUT,
        health_check_interval=5,
        retry=None,
        decode_responses=True,
        **options,
    )
