"""Throttles with a low limit of bad logins."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.core.config import AppSettings
from app.core.database import Sessions
from app.core.limits import Counters
from app.core.security import KeyRing
from app.services.auth.throttle import Throttle
from tests.configuration import make_settings

LIMIT = 3


@pytest.fixture
async def make(
    settings: AppSettings, sessions: Sessions, tmp_path: Path
) -> AsyncIterator[Callable[..., Throttle]]:
    """Makes throttles, each as a process of its own would have it."""
    opened: list[Counters] = []

    def throttle(**values: str) -> Throttle:
        addresses = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
        database, redis = addresses[0], values.pop("REDIS_URL", addresses[1])
        chosen = make_settings(
            tmp_path,
            database,
            redis,
            **{"RATE_LIMIT_LOGIN": f"{LIMIT}/day", "RATE_LIMIT_PATIENCE": "10"} | values,
        )
        counters = Counters.from_settings(chosen.redis, chosen.rate_limit, chosen.server.api_processes)
        opened.append(counters)
        return Throttle(counters, sessions, KeyRing.from_settings(chosen.auth), chosen.rate_limit)

    yield throttle
    for counters in opened:
        await counters.aclose()
