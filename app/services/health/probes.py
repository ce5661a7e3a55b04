"""The probes of one process: what they ask, and what they make of the answers."""

import asyncio
import logging
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Final, Self

from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import AppSettings
from app.core.database import create_engine
from app.core.drain import Drain
from app.core.revisions import older_revisions
from app.schemas.health import HealthStatus, PoolResponse, QueueResponse
from app.schemas.storage import StorageReport
from app.services.health import checks
from app.services.health.checks import PATIENCE, Check, ask
from app.services.health.details import pool_use, queue_depths
from app.services.health.shared import Shared
from app.services.health.workspace import WorkspaceQuestion
from app.services.heartbeats import BEAT, WORKER, Heartbeat, read_heartbeats
from app.services.media.usage import last_report
from app.services.workspace import Workspace

logger = logging.getLogger(__name__)

FATAL_MARKER: Final = "fatal"
"""The file in RUN_DIR that the supervisor writes when a program that all depends on cannot be kept up."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What all parts answered at one moment."""

    checks: dict[str, Check]
    migrations: Check
    heartbeats: list[Heartbeat] = field(default_factory=list)

    @property
    def status(self) -> HealthStatus:
        """Without its database this system is unhealthy; without another part it is degraded."""
        if not self.checks["database"].is_healthy:
            return HealthStatus.UNHEALTHY
        whole = self.migrations.is_healthy and all(check.is_healthy for check in self.checks.values())
        return HealthStatus.HEALTHY if whole else HealthStatus.DEGRADED


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests should come here, and why not."""

    database: Check
    redis: Check
    migrations: Check
    reasons: list[str]

    @property
    def is_ready(self) -> bool:
        """Whether nothing stands against it."""
        return not self.reasons


class Health:
    """Asks every part at most once a second, however many probes ask.

    The database is asked over a connection of its own: a busy pool is not an absent database, and a probe
    must not wait in line.
    """

    def __init__(
        self, settings: AppSettings, engine: AsyncEngine, redis: Redis, workspace: Workspace, drain: Drain
    ) -> None:
        self._served = engine
        hasty = {"connect_timeout": ceil(PATIENCE), "pool_timeout": PATIENCE, "statement_timeout": PATIENCE}
        self._engine = create_engine(
            settings.database.model_copy(update=hasty | {"max_overflow": 0}),
            pool_size=1,
            name="holdfast-health",
        )
        self._redis = redis
        self._workspace = WorkspaceQuestion(workspace)
        self._drain = drain
        self._fatal: Path = settings.run_dir / FATAL_MARKER
        self._older: frozenset[str] = frozenset()
        self._told: dict[str, str | None] = {}
        self._findings = Shared(self._ask_all)
        self._queues = Shared(self._ask_queues)
        self._sweeps = Shared(self._ask_sweeps)

    async def open(self) -> Self:
        """Learn which revisions of the database are too old for this code."""
        self._older = await asyncio.to_thread(older_revisions)
        return self

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._findings.aclose()
        await self._queues.aclose()
        await self._sweeps.aclose()
        await self._engine.dispose()

    async def findings(self) -> Findings:
        """Every part's answer, at most about a second old."""
        return await self._findings.get()

    async def readiness(self) -> Readiness:
        """Whether this process should be sent requests; draining and a fatal program count at once."""
        found = await self.findings()
        needed = {"database": found.checks["database"], "redis": found.checks["redis"]}
        needed["migrations"] = found.migrations
        reasons = [name for name, check in needed.items() if not check.is_healthy]
        return Readiness(**needed, reasons=self._stopping() + reasons)

    def pool_use(self) -> PoolResponse:
        """The connections that requests of this process use."""
        return pool_use(self._served)

    async def queue_depths(self) -> list[QueueResponse] | None:
        """What waits and runs in each queue; None where the database does not tell in time."""
        return await self._queues.get()

    async def storage_report(self) -> StorageReport | None:
        """What the last sweep of the storage found; None before the first, or where nobody tells in time."""
        return await self._sweeps.get()

    def _stopping(self) -> list[str]:
        reasons = ["draining"] if self._drain.active else []
        return [*reasons, "fatal"] if self._fatal.exists() else reasons

    async def _ask_all(self) -> Findings:
        (database, migrations), (redis, heartbeats), workspace = await asyncio.gather(
            self._ask_database(), self._ask_redis(), ask(self._workspace)
        )
        found = {
            "api": Check(HealthStatus.DEGRADED, reasons[0]) if (reasons := self._stopping()) else Check(),
            "database": database,
            "redis": redis,
            "celery": _consumer(WORKER, redis, heartbeats),
            "beat": _consumer(BEAT, redis, heartbeats),
            "workspace": workspace,
        }
        self._tell(found | {"migrations": migrations})
        return Findings(found, migrations, heartbeats)

    async def _ask_database(self) -> tuple[Check, Check]:
        revision: str | None = None

        async def question() -> Check:
            nonlocal revision
            revision = await checks.revision(self._engine)
            return Check()

        database = await ask(question)
        if not database.is_healthy:
            return database, Check(HealthStatus.UNHEALTHY, "unknown")
        if revision is not None and revision not in self._older:
            return database, Check()
        error = f"the database is at {revision}, older than this code"
        return database, Check(HealthStatus.UNHEALTHY, "pending" if revision else "missing", error=error)

    async def _ask_queues(self) -> list[QueueResponse] | None:
        try:
            async with asyncio.timeout(PATIENCE):
                # Not over the probes' connection: a count that waits for a lock must not hold readiness.
                return await queue_depths(self._served)
        except (SQLAlchemyError, OSError, TimeoutError):
            return None

    async def _ask_sweeps(self) -> StorageReport | None:
        try:
            async with asyncio.timeout(PATIENCE), self._served.connect() as connection:
                return await last_report(connection)
        except (SQLAlchemyError, OSError, TimeoutError):
            return None

    async def _ask_redis(self) -> tuple[Check, list[Heartbeat]]:
        heartbeats: list[Heartbeat] = []

        async def question() -> Check:
            heartbeats.extend(await read_heartbeats(self._redis))
            return Check()

        return await ask(question), heartbeats

    def _tell(self, found: dict[str, Check]) -> None:
        """Log what changed, once, and not at each probe."""
        for name, check in found.items():
            before, now = self._told.get(name), check.reason
            if now != before:
                level = logging.WARNING if now else logging.INFO
                fields = {"part": name, "reason": now, "before": before, "error": check.error}
                logger.log(level, "health_changed", extra=fields)
            self._told[name] = now


def _consumer(kind: str, redis: Check, heartbeats: list[Heartbeat]) -> Check:
    """Workers and beat are known by the cycles they complete; without Redis nobody can know."""
    if not redis.is_healthy:
        return Check(HealthStatus.DEGRADED, "unknown")
    if any(heartbeat.kind == kind for heartbeat in heartbeats):
        return Check()
    return Check(HealthStatus.DEGRADED, "absent")
