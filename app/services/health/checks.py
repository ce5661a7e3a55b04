"""One question to each part, bounded in time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.schemas.health import HealthStatus

PATIENCE: Final = 0.9
"""Seconds that one part may take to answer."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one part answered."""

    status: HealthStatus = HealthStatus.HEALTHY
    reason: str | None = None
    seconds: float = 0.0
    error: str | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return self.status is HealthStatus.HEALTHY


Question = Callable[[], Awaitable[Check]]


async def ask(question: Question) -> Check:
    """Ask one part. An error or no answer in time is an answer too."""
    started = perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            check = await question()
    except TimeoutError:
        check = Check(HealthStatus.UNHEALTHY, "timeout")
    except (SQLAlchemyError, RedisError, OSError) as error:
        check = Check(HealthStatus.UNHEALTHY, "unreachable", error=f"{type(error).__name__}: {error}")
    return Check(check.status, check.reason, perf_counter() - started, check.error)


async def revision(engine: AsyncEngine) -> str | None:
    """The database's revision, None where it was never migrated; raises where there is no database."""
    async with engine.connect() as connection:
        try:
            found = (
                (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
            )
        except ProgrammingError:
            return None
    return ",".join(sorted(found)) or None
