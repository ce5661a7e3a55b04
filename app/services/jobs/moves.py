"""Every change of a job's state, each one statement that also writes its event.

Times are the database's own: machines' clocks disagree. Conditions compare with ``now()``, which indexes
can be used with; values are ``clock_timestamp()``, which is true in a long transaction too.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    String,
    Update,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    text,
    true,
    update,
)

from app.models.job import WAITING_CLAUSE, Job, JobEvent, JobState

_NOW: Final = func.clock_timestamp()
_NOTED: Final = (Job.state, Job.attempt, Job.progress, Job.progress_word, Job.error)
_RUNNING: Final = Job.state == JobState.RUNNING
_USED_UP: Final = Job.attempt >= Job.max_attempts
_ENDED: Final = {"lease_expires_at": null(), "finished_at": _NOW}


def claim(
    queue: str,
    *,
    worker: str,
    lease: float,
    allowances: Mapping[str, int],
) -> Select[Any]:
    """Take the next due job of a queue, count the attempt and hold it for ``lease`` seconds.

    Gives the job's columns, or no row. Claimers skip each other's rows, so no two take the same.

    Args:
        queue: where to look.
        worker: who takes it.
        lease: seconds.
        allowances: the kinds that this worker knows, each with the attempts that it allows.
    """
    return _claim(queue, worker, lease, tuple(allowances.items()))


@lru_cache(maxsize=16)
def _claim(queue: str, worker: str, lease: float, allowances: tuple[tuple[str, int], ...]) -> Select[Any]:
    # To build it takes longer than to run it, and one child asks for the same again and again.
    kinds = [kind for kind, _ in allowances]
    due = (
        select(Job.id)
        .where(Job.queue == queue, is_due(), Job.kind.in_(kinds))
        .order_by(Job.run_at, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    allowed = case(dict(allowances), value=Job.kind)
    taken = {
        "state": JobState.RUNNING,
        "attempt": Job.attempt + 1,
        "max_attempts": func.coalesce(Job.max_attempts, Job.attempt + allowed),
        "lease_expires_at": _after(lease),
        "worker": worker,
        "started_at": _NOW,
        "progress": 0.0,
        "progress_word": null(),
    }
    given = (Job.kind, Job.args, Job.owner_id, Job.request_id, Job.max_attempts, Job.created_at)
    return _noted(update(Job).where(Job.id == due).values(taken), *given)


def succeed(job_id: uuid.UUID, attempt: int, result: dict[str, Any] | None) -> Select[Any]:
    """End a job well; no row where the fence is closed."""
    return _succeed().params(mine=job_id, this=attempt, outcome=result)


@cache
def _succeed() -> Select[Any]:
    mine = and_(Job.id == bindparam("mine"), Job.attempt == bindparam("this"), _RUNNING)
    outcome = bindparam("outcome", type_=Job.result.type)
    values = {"state": JobState.SUCCEEDED, "progress": 1.0, "result": outcome, "error": null()} | _ENDED
    return _noted(update(Job).where(mine).values(values))


def fail(job_id: uuid.UUID, attempt: int, error: dict[str, Any]) -> Select[Any]:
    """End a job that cannot succeed; no row where the fence is closed."""
    return _noted(_fenced(job_id, attempt).values({"state": JobState.FAILED, "error": error} | _ENDED))


def cancel_running(job_id: uuid.UUID, attempt: int) -> Select[Any]:
    """End a job that was told to stop; no row where the fence is closed."""
    return _noted(_fenced(job_id, attempt).values({"state": JobState.CANCELLED} | _ENDED))


def try_again(job_id: uuid.UUID, attempt: int, error: dict[str, Any], *, delay: float) -> Select[Any]:
    """Let a failed attempt be followed by another after ``delay`` seconds, or by the end if it was the last.

    A job that its owner has asked to cancel is not tried again.
    """
    return _noted(_fenced(job_id, attempt).values({"error": error} | _next(literal(delay))))


def wait_out(job_id: uuid.UUID, attempt: int, error: dict[str, Any], *, delay: float) -> Select[Any]:
    """Let a job wait ``delay`` seconds for what is away; such an attempt never counts."""
    values = {"error": error, "max_attempts": Job.max_attempts + 1} | _next(literal(delay), is_last=false())
    return _noted(_fenced(job_id, attempt).values(values))


def give_back(job_id: uuid.UUID, attempt: int) -> Select[Any]:
    """Return a job that this worker has no time for; the attempt does not count.

    A job that its owner has asked to cancel has ended.
    """
    cancelled = Job.cancel_requested_at.is_not(None)
    values = {
        "state": case(
            (cancelled, JobState.CANCELLED),
            (Job.error.is_(None), JobState.QUEUED),
            else_=JobState.RETRYING,
        ),
        "finished_at": case((cancelled, _NOW)),
        "max_attempts": Job.max_attempts + 1,
        "run_at": _NOW,
        "lease_expires_at": null(),
        "worker": null(),
    }
    return _noted(_fenced(job_id, attempt).values(values))


def renew(job_id: uuid.UUID, attempt: int, *, lease: float) -> Update:
    """Hold a job for another ``lease`` seconds; gives whether it is to be cancelled, or no row where lost."""
    return (
        _fenced(job_id, attempt)
        .values(lease_expires_at=_after(lease))
        .returning(Job.cancel_requested_at.is_not(None))
    )


def watch(job_id: uuid.UUID, attempt: int) -> Select[Any]:
    """Whether a running job is to be cancelled; no row where it is lost."""
    return select(Job.cancel_requested_at.is_not(None)).where(_mine(job_id, attempt))


def report(job_id: uuid.UUID, attempt: int, share: float, word: str | None) -> Select[Any]:
    """Write progress; no row where the fence is closed."""
    return _noted(_fenced(job_id, attempt).values(progress=share, progress_word=word))


def take_back(*, limit: int = 100) -> Select[Any]:
    """Free jobs whose lease ran out: their worker died. Gives their queues.

    A death counts as an attempt, so that a job that kills its worker is given up in the end. The first
    other attempt follows at once, later ones wait longer.
    """
    lost = (
        select(Job.id)
        .where(text("state = 'running'"), Job.lease_expires_at < func.now())
        .order_by(Job.lease_expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("lost")
    )
    deaths = Job.deaths + 1
    message = func.format("The worker died %s times while it ran this job.", deaths)
    once = "The worker died while it ran this job."
    error = func.jsonb_build_object(
        "code", "worker_died", "message", case((deaths == 1, once), else_=message)
    )
    delay = func.least(func.power(2, Job.deaths) - 1, 60)
    values = {"deaths": deaths, "error": error} | _next(delay)
    return _noted(update(Job).where(Job.id.in_(select(lost.c.id))).values(values), Job.queue)


def due_counts(queues: Sequence[str], kinds: Sequence[str], *, limit: int) -> Select[Any]:
    """How much due work of known kinds waits in each queue that has any, up to ``limit`` in each."""
    asked = func.unnest(cast(list(queues), ARRAY(String))).table_valued("queue").render_derived()
    # Counted apart, so that much work of one queue hides none of another's.
    waiting = select(Job.id).where(is_due(), Job.queue == asked.c.queue, Job.kind.in_(list(kinds)))
    due = waiting.limit(limit).correlate(asked).lateral()
    return select(asked.c.queue, func.count()).select_from(asked).join(due, true()).group_by(asked.c.queue)


def is_due() -> ColumnElement[bool]:
    """Waiting, wanted, and its time has come."""
    return and_(text(WAITING_CLAUSE), Job.run_at <= func.now(), Job.cancel_requested_at.is_(None))


def _mine(job_id: uuid.UUID, attempt: int) -> ColumnElement[bool]:
    return and_(Job.id == job_id, Job.attempt == attempt, _RUNNING)


def _fenced(job_id: uuid.UUID, attempt: int) -> Update:
    return update(Job).where(_mine(job_id, attempt))


def _after(seconds: float) -> ColumnElement[Any]:
    return _NOW + literal(timedelta(seconds=seconds))


def _next(delay: ColumnElement[Any], *, is_last: ColumnElement[bool] = _USED_UP) -> dict[str, Any]:
    """Cancelled where that was asked for, failed where it was the last attempt, else tried again."""
    cancelled = Job.cancel_requested_at.is_not(None)
    state = case((cancelled, JobState.CANCELLED), (is_last, JobState.FAILED), else_=JobState.RETRYING)
    ends = or_(cancelled, is_last)
    return {
        "state": state,
        "run_at": _NOW + delay * literal(timedelta(seconds=1)),
        "finished_at": case((ends, _NOW)),
        "lease_expires_at": null(),
    }


def _noted(statement: Update, *more: Any) -> Select[Any]:
    """The change, its event in the same statement, and what changed as rows."""
    changed = statement.returning(Job.id, *_NOTED, *more).cte("changed")
    names = [column.key for column in _NOTED]
    event = insert(JobEvent).from_select(
        ["job_id", *names], select(changed.c.id, *(changed.c[name] for name in names))
    )
    return select(changed).add_cte(event.cte("noted"))
