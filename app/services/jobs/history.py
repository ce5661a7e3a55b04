"""What happened to jobs, as rows tell it: read by who shows it, and asked for by who waits for it."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Select,
    Uuid,
    cast,
    delete,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.models.job import ENDED, Job, JobEvent, JobWatch

MOST: Final = 200
"""Events of one job that are read at once."""

WATCHED_FOR: Final = 30.0
"""Seconds that a watch holds; whoever waits for longer renews it sooner."""

_SHOWN: Final = (
    JobEvent.id,
    JobEvent.job_id,
    JobEvent.state,
    JobEvent.attempt,
    JobEvent.progress,
    JobEvent.progress_word,
    JobEvent.error,
    JobEvent.created_at,
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a job, as ``JobEvent`` has it."""

    id: int
    job_id: uuid.UUID
    state: str
    attempt: int
    progress: float
    progress_word: str | None
    error: dict[str, Any] | None
    at: datetime

    @property
    def is_end(self) -> bool:
        """Whether nothing follows by itself; a retry by the owner may."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Missed:
    """What a client has not seen yet, up to now: ``events`` after ``cursor``, none of which is lost."""

    events: tuple[Event, ...]
    cursor: int
    is_over: bool
    """The job has ended, and the client has seen all of it."""


async def missed(session: AsyncSession, job: Job, *, last_seen: int | None) -> Missed:
    """What happened since the event that a client saw last: all of it, or where it saw none, the newest.

    An id that this job has not reached is none of ours (another database, a backup that was restored):
    its client begins anew.
    """
    newest = await _newest(session, job.id)
    if newest is None:
        return Missed((), 0, is_over=job.state in ENDED)
    if last_seen is None or last_seen > newest.id:
        return Missed((newest,), newest.id, is_over=False)
    events = await after(session, job.id, last_seen)
    return Missed(tuple(events), events[-1].id if events else last_seen, is_over=not events and newest.is_end)


async def after(asked: AsyncSession | AsyncConnection, job_id: uuid.UUID, last_seen: int) -> list[Event]:
    """A job's next events after one, ``MOST`` at most."""
    later = select(*_SHOWN).where(JobEvent.job_id == job_id, JobEvent.id > last_seen)
    return _events((await asked.execute(later.order_by(JobEvent.id).limit(MOST))).all())


async def after_each(connection: AsyncConnection, last_seen: Mapping[uuid.UUID, int]) -> list[Event]:
    """The next events of many jobs, each after its own, ``MOST`` at most of each."""
    asked = (
        func.unnest(cast(list(last_seen), ARRAY(Uuid)), cast(list(last_seen.values()), ARRAY(BigInteger)))
        .table_valued("job_id", "after")
        .render_derived()
    )
    later = (
        select(*_SHOWN)
        .where(JobEvent.job_id == asked.c.job_id, JobEvent.id > asked.c.after)
        .order_by(JobEvent.id)
        .limit(MOST)
        .correlate(asked)
        .lateral()
    )
    query = select(later).select_from(asked).join(later, true()).order_by(later.c.id)
    return _events((await connection.execute(query)).all())


async def watch(connection: AsyncConnection, jobs: Iterable[uuid.UUID]) -> None:
    """Have events of these jobs told of for the next ``WATCHED_FOR`` seconds.

    What a transaction wrote before it could see this, and commits later, is not told of.
    """
    until = func.clock_timestamp() + literal(timedelta(seconds=WATCHED_FOR))
    # In order, or two processes that watch the same jobs could wait for each other.
    asked = func.unnest(cast(sorted(jobs), ARRAY(Uuid))).column_valued("job_id")
    upsert = insert(JobWatch).from_select(["job_id", "until"], select(asked, until))
    await connection.execute(
        upsert.on_conflict_do_update(index_elements=[JobWatch.job_id], set_={"until": upsert.excluded.until})
    )


async def forget_watches(connection: AsyncConnection) -> None:
    """Delete those that nobody renewed."""
    await connection.execute(delete(JobWatch).where(JobWatch.until < func.clock_timestamp()))


async def _newest(session: AsyncSession, job_id: uuid.UUID) -> Event | None:
    newest: Select[Any] = select(*_SHOWN).where(JobEvent.job_id == job_id).order_by(JobEvent.id.desc())
    return next(iter(_events((await session.execute(newest.limit(1))).all())), None)


def _events(rows: Sequence[Any]) -> list[Event]:
    return [Event(*row) for row in rows]
