"""What a job tells its owner: lines that its code writes for people, among the changes of its state."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    Integer,
    Row,
    Select,
    String,
    Subquery,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.job import Job, JobEvent, JobLog, JobState

Level = Literal["info", "warning", "error"]

MOST_LINES: Final = 200
"""Lines of one attempt; one more says that there were more."""

KEPT_ATTEMPTS: Final = 10
"""Of one job: with the beginning of the next, the lines of the oldest go."""

LONGEST: Final = 1000
"""Characters of a line, as its column has them."""

_SEQUENCE: Final = "job_events_id_seq"

_LEVELS: Final[dict[str, Level]] = {JobState.FAILED: "error", JobState.RETRYING: "warning"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a job's log; ``state`` where it tells of a change of that."""

    id: int
    at: datetime
    attempt: int
    level: Level
    message: str
    state: str | None


async def write(
    session: AsyncSession, job_id: uuid.UUID, *, attempt: int, level: Level, message: str, is_first: bool
) -> None:
    """Add a line while this attempt runs; that of an attempt which has lost its job is dropped.

    Args:
        session: a transaction of its own, which holds the job's row until it ends.
        job_id: the job.
        attempt: which attempt writes.
        level: how much it matters.
        message: for people; cut where it is longer than ``LONGEST``.
        is_first: whether it is the attempt's first, which makes room.
    """
    running = Job.attempt == attempt, Job.state == JobState.RUNNING
    # Locked before the id is drawn: whoever writes an event or a line of this job next draws a higher one.
    held = select(Job.id).where(Job.id == job_id, *running).with_for_update(key_share=True).cte("held")
    line = select(
        func.nextval(_SEQUENCE),
        held.c.id,
        literal(attempt, Integer),
        literal(level, String),
        literal(message[:LONGEST], String),
    )
    columns = ["id", "job_id", "attempt", "level", "message"]
    await session.execute(insert(JobLog).from_select(columns, line))
    if is_first:
        old = JobLog.job_id == job_id, JobLog.attempt <= attempt - KEPT_ATTEMPTS
        await session.execute(delete(JobLog).where(*old))


async def read(
    session: AsyncSession, job_id: uuid.UUID, *, limit: int, cursor: int = 0
) -> tuple[list[Line], bool]:
    """The next lines of a job after one, in the order in which they were written, and whether more follow."""
    lines, changes = _lines(job_id), _changes(job_id)
    both = union_all(select(lines).where(lines.c.id > cursor), select(changes).where(changes.c.id > cursor))
    rows = (await session.execute(both.order_by("id").limit(limit + 1))).all()
    return [_line(row) for row in rows[:limit]], len(rows) > limit


def _lines(job_id: uuid.UUID) -> Subquery:
    own: Select[Any] = select(
        JobLog.id,
        JobLog.created_at,
        JobLog.attempt,
        JobLog.level,
        JobLog.message,
        cast(null(), String).label("state"),
        cast(null(), JSONB).label("error"),
    )
    return own.where(JobLog.job_id == job_id).subquery()


def _changes(job_id: uuid.UUID) -> Subquery:
    """The events with which a state began; those between tell of progress."""
    before = func.lag(JobEvent.state).over(order_by=JobEvent.id).label("before")
    told = select(JobEvent, before).where(JobEvent.job_id == job_id).subquery()
    began: Select[Any] = select(
        cast(told.c.id, BigInteger).label("id"),
        told.c.created_at,
        told.c.attempt,
        cast(null(), String).label("level"),
        cast(null(), String).label("message"),
        told.c.state,
        told.c.error,
    )
    return began.where(told.c.state.is_distinct_from(told.c.before)).subquery()


def _line(row: Row[Any]) -> Line:
    if row.state is None:
        return Line(row.id, row.created_at, row.attempt, row.level, row.message, None)
    level = _LEVELS.get(row.state, "info")
    return Line(row.id, row.created_at, row.attempt, level, _told(row), row.state)


def _told(row: Row[Any]) -> str:
    reason = (row.error or {}).get("message", "")
    sentences: dict[str, Sequence[str]] = {
        JobState.QUEUED: ("Waiting for a worker.",),
        JobState.RUNNING: (f"Attempt {row.attempt} has begun.",),
        JobState.RETRYING: (reason, "Another attempt follows."),
        JobState.SUCCEEDED: ("Done.",),
        JobState.FAILED: (reason or "Failed.",),
        JobState.CANCELLED: ("Cancelled.",),
    }
    return " ".join(part for part in sentences[row.state] if part)
