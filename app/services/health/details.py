"""What an operator asks first: pool, queues, processes, disk."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    String,
    TableValuedAlias,
    TextClause,
    cast,
    func,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from app.celery_app import QUEUES
from app.core.config import AppSettings
from app.models.job import WAITING, WAITING_CLAUSE, Job, JobState
from app.schemas.health import (
    DiskResponse,
    PoolResponse,
    ProcessesFile,
    ProcessResponse,
    QueueResponse,
)

PROCESSES_FILE: Final = "processes.json"
"""What the supervisor last wrote about its programs, in RUN_DIR."""

COUNTED: Final = 10_001
"""Waiting and running jobs of a queue that are counted at most: a report costs the same however many wait."""


def pool_use(engine: AsyncEngine) -> PoolResponse:
    """The connections of this process's pool."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)  # noqa: S101 - the only kind that create_engine makes
    return PoolResponse(size=pool.size(), in_use=pool.checkedout(), idle=pool.checkedin())


async def queue_depths(engine: AsyncEngine) -> list[QueueResponse]:
    """What waits and runs in each queue that has any: of each, the first ``COUNTED`` jobs."""
    async with engine.connect() as connection:
        rows = (await connection.execute(_depths())).mappings()
        return [QueueResponse(**row) for row in rows]


def _depths() -> Select[Any]:
    asked = func.unnest(cast(list(QUEUES), ARRAY(String))).table_valued("queue").render_derived()
    waiting, running = _first(asked, text(WAITING_CLAUSE)), _first(asked, Job.state == JobState.RUNNING)
    some = union_all(waiting, running).lateral()

    def counted(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count().filter(*conditions)

    return (
        select(
            asked.c.queue,
            counted(some.c.state.in_(WAITING), some.c.run_at <= func.now()).label("due"),
            counted(some.c.state == JobState.QUEUED).label("queued"),
            counted(some.c.state == JobState.RETRYING).label("retrying"),
            counted(some.c.state == JobState.RUNNING).label("running"),
        )
        .select_from(asked)
        .join(some, true())
        .group_by(asked.c.queue)
        .order_by(asked.c.queue)
    )


def _first(asked: TableValuedAlias, condition: ColumnElement[bool] | TextClause) -> Select[Any]:
    """The jobs of a queue that are first in line, as many as are counted."""
    jobs = select(Job.state, Job.run_at).where(Job.queue == asked.c.queue, condition)
    first = jobs.order_by(Job.run_at).limit(COUNTED).correlate(asked).lateral()
    return select(first.c.state, first.c.run_at)


def supervised_processes(run_dir: Path) -> list[ProcessResponse]:
    """The programs as the supervisor last wrote them down; none where nothing supervises this process."""
    try:
        written = ProcessesFile.model_validate_json((run_dir / PROCESSES_FILE).read_bytes())
    except (OSError, ValidationError):
        return []
    for process in written.processes:
        if process.started_at:
            process.uptime_seconds = age_of(process.started_at)
    return written.processes


def disk_use(settings: AppSettings) -> DiskResponse | None:
    """Room on the workspace's file system, None where there is no workspace."""
    try:
        use = shutil.disk_usage(settings.workspace_root)
    except OSError:
        return None
    return DiskResponse(
        path=str(settings.workspace_root),
        total=use.total,
        free=use.free,
        minimum_free=settings.media.minimum_free,
    )


def age_of(moment: datetime) -> float:
    """Seconds since a moment."""
    return round((datetime.now(UTC) - moment).total_seconds(), 3)
