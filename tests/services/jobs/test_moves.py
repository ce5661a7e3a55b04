"""Changes of state: who may make them, and what becomes of the row."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from app.core.database import Sessions, transaction
from app.models.job import Job, JobState
from app.services.jobs import moves
from app.services.jobs.backoff import backoff
from tests.services.jobs.shapes import Accept, Do, HistoryOf, RowOf, Take, expired

Move = Callable[[uuid.UUID, int], Any]
ERROR = {"code": "x", "message": "it did not work"}


async def test_a_claim_counts_the_attempt_and_takes_a_lease(
    accept: Accept, take: Take, row: RowOf, history: HistoryOf
) -> None:
    job_id = await accept()
    await take(worker="host/1")
    job = await row(job_id)
    assert (job.state, job.attempt, job.max_attempts, job.worker) == (JobState.RUNNING, 1, 5, "host/1")
    assert job.lease_expires_at is not None
    assert job.started_at is not None
    assert job.lease_expires_at > job.started_at
    assert await history(job_id) == ["queued", "running"]


async def test_jobs_are_claimed_in_the_order_that_they_came(accept: Accept, take: Take) -> None:
    accepted = [await accept() for _ in range(3)]
    assert [(await take()).id for _ in range(3)] == accepted


async def test_nothing_is_claimed_from_another_queue(accept: Accept, take: Take) -> None:
    await accept()
    assert await take("media") is None


async def test_a_job_of_an_unknown_kind_is_left_to_newer_workers(
    accept: Accept, take: Take, do: Do, row: RowOf
) -> None:
    job_id = await accept()
    await do(update(Job).values(kind="from.the.future").returning(Job.id))
    assert await take() is None
    assert await do(moves.due_counts(["default"], ["test.effect"], limit=10)) == []
    assert (await row(job_id)).state == JobState.QUEUED


async def test_a_job_is_not_claimed_before_its_time(sessions: Sessions, accept: Accept, take: Take) -> None:
    async with sessions() as session:
        soon = (await session.execute(select(func.now() + func.make_interval(0, 0, 0, 0, 1)))).scalar_one()
    await accept(run_at=soon)
    assert await take() is None


async def test_many_claimers_never_share_a_row(accept: Accept, take: Take) -> None:
    accepted = {await accept() for _ in range(30)}

    async def claim_all(worker: int) -> list[uuid.UUID]:
        mine = []
        while (claimed := await take(worker=str(worker))) is not None:
            mine.append(claimed.id)
        return mine

    claimed = [job_id for mine in await asyncio.gather(*map(claim_all, range(5))) for job_id in mine]
    assert len(claimed) == 30
    assert set(claimed) == accepted


async def test_a_claimer_does_not_wait_for_a_locked_row(
    sessions: Sessions, accept: Accept, take: Take
) -> None:
    first, second = await accept(), await accept()
    async with sessions() as session:
        await session.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": first})
        assert (await take()).id == second


@pytest.mark.parametrize(
    "move",
    [
        lambda job, attempt: moves.succeed(job, attempt, None),
        lambda job, attempt: moves.fail(job, attempt, ERROR),
        lambda job, attempt: moves.try_again(job, attempt, ERROR, delay=0.0),
        moves.cancel_running,
        moves.give_back,
        lambda job, attempt: moves.renew(job, attempt, lease=9.0),
        moves.watch,
        lambda job, attempt: moves.report(job, attempt, 0.5, None),
    ],
)
async def test_the_fence_is_closed_to_an_older_attempt(
    accept: Accept, take: Take, do: Do, row: RowOf, move: Move
) -> None:
    job_id = await accept()
    await take()
    await do(expired(job_id))
    await do(moves.take_back())
    await take()
    before = await row(job_id)
    assert await do(move(job_id, 1)) == []
    assert (await row(job_id)).__dict__.items() >= {
        name: value for name, value in before.__dict__.items() if not name.startswith("_")
    }.items()
    assert len(await do(move(job_id, 2))) == 1


async def test_success_keeps_the_result(
    accept: Accept, take: Take, do: Do, row: RowOf, history: HistoryOf
) -> None:
    job_id = await accept()
    await take()
    await do(moves.succeed(job_id, 1, {"answer": 42}))
    job = await row(job_id)
    assert (job.state, job.result, job.progress, job.lease_expires_at) == (
        JobState.SUCCEEDED,
        {"answer": 42},
        1.0,
        None,
    )
    assert job.finished_at is not None
    assert await history(job_id) == ["queued", "running", "succeeded"]


async def test_a_failed_attempt_is_followed_by_another_later(
    accept: Accept, take: Take, do: Do, row: RowOf, sessions: Sessions
) -> None:
    job_id = await accept()
    await take()
    await do(moves.try_again(job_id, 1, ERROR, delay=3600.0))
    job = await row(job_id)
    async with sessions() as session:
        wait = (job.run_at - (await session.execute(select(func.now()))).scalar_one()).total_seconds()
    assert (job.state, job.error) == (JobState.RETRYING, ERROR)
    assert 1800 < wait <= 3600
    assert await take() is None


async def test_the_last_failed_attempt_ends_the_job(accept: Accept, take: Take, do: Do, row: RowOf) -> None:
    job_id = await accept("test.poison")
    for attempt in (1, 2):
        await take()
        await do(moves.try_again(job_id, attempt, ERROR, delay=0.0))
    job = await row(job_id)
    assert (job.state, job.error, job.attempt) == (JobState.FAILED, ERROR, 2)


async def test_a_job_that_is_to_be_cancelled_is_not_tried_again(
    accept: Accept, take: Take, do: Do, row: RowOf
) -> None:
    job_id = await accept()
    await take()
    await do(update(Job).values(cancel_requested_at=func.now()).returning(Job.id))
    await do(moves.try_again(job_id, 1, ERROR, delay=0.0))
    assert (await row(job_id)).state == JobState.CANCELLED


async def test_a_job_given_back_loses_no_attempt(accept: Accept, take: Take, do: Do, row: RowOf) -> None:
    job_id = await accept("test.poison")
    for attempt in (1, 2, 3):
        assert (await take()).attempt == attempt
        await do(moves.give_back(job_id, attempt))
    job = await row(job_id)
    assert (job.state, job.attempt, job.max_attempts, job.worker) == (JobState.QUEUED, 3, 5, None)


async def test_a_job_given_back_that_is_to_be_cancelled_is_cancelled(
    accept: Accept, take: Take, do: Do, row: RowOf, history: HistoryOf
) -> None:
    job_id = await accept()
    await take()
    await do(update(Job).values(cancel_requested_at=func.now()).returning(Job.id))
    await do(moves.give_back(job_id, 1))
    job = await row(job_id)
    assert job.state == JobState.CANCELLED
    assert job.finished_at is not None
    assert await history(job_id) == ["queued", "running", "cancelled"]


async def test_a_waiting_job_that_is_to_be_cancelled_is_not_claimed(
    accept: Accept, take: Take, do: Do
) -> None:
    await accept()
    await do(update(Job).values(cancel_requested_at=func.now()).returning(Job.id))
    assert await take() is None


async def test_a_live_lease_is_not_taken_back(accept: Accept, take: Take, do: Do) -> None:
    await accept()
    await take()
    assert await do(moves.take_back()) == []


async def test_an_expired_lease_is_taken_back_at_once(
    accept: Accept, take: Take, do: Do, row: RowOf, history: HistoryOf
) -> None:
    job_id = await accept()
    await take()
    await do(expired(job_id))
    assert [taken.queue for taken in await do(moves.take_back())] == ["default"]
    job = await row(job_id)
    assert (job.state, job.deaths) == (JobState.RETRYING, 1)
    assert (await take()).attempt == 2
    assert await history(job_id) == ["queued", "running", "retrying", "running"]


async def test_a_job_that_kills_its_workers_is_given_up(
    accept: Accept, take: Take, do: Do, row: RowOf
) -> None:
    job_id = await accept("test.poison")
    for _ in range(2):
        await do(update(Job).values(run_at=func.now()).returning(Job.id))
        await take()
        await do(expired(job_id))
        await do(moves.take_back())
    job = await row(job_id)
    assert job.state == JobState.FAILED
    assert job.error == {
        "code": "worker_died",
        "message": "The worker died 2 times while it ran this job.",
    }


async def test_a_dead_workers_job_that_is_to_be_cancelled_is_cancelled(
    accept: Accept, take: Take, do: Do, row: RowOf
) -> None:
    job_id = await accept()
    await take()
    await do(update(Job).values(cancel_requested_at=func.now()).returning(Job.id))
    await do(expired(job_id))
    await do(moves.take_back())
    assert (await row(job_id)).state == JobState.CANCELLED


async def test_due_work_is_counted_by_queue(accept: Accept, do: Do) -> None:
    for _ in range(3):
        await accept()
    assert await do(moves.due_counts(["default", "media"], ["test.effect"], limit=10)) == [("default", 3)]
    assert await do(moves.due_counts(["default"], ["test.effect"], limit=2)) == [("default", 2)]


async def test_much_work_of_one_queue_hides_none_of_another(accept: Accept, do: Do) -> None:
    for _ in range(3):
        await accept()
    await do(update(Job).where(Job.id == await accept()).values(queue="media").returning(Job.id))
    counts = await do(moves.due_counts(["default", "media"], ["test.effect"], limit=2))
    assert sorted(counts) == [("default", 2), ("media", 1)]


async def test_the_claim_uses_its_index(sessions: Sessions, accept: Accept) -> None:
    await accept()
    async with transaction(sessions) as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        due = select(Job.id).where(Job.queue == "default", moves.is_due()).order_by(Job.run_at, Job.id)
        compiled = due.compile(compile_kwargs={"literal_binds": True})
        plan = (await session.execute(text(f"EXPLAIN {compiled}"))).scalars().all()
    assert any("ix_jobs_due" in line for line in plan)
    assert not any("Sort" in line for line in plan)


def test_the_wait_doubles_with_each_failure_up_to_ten_minutes() -> None:
    assert [backoff(n, jitter=1.0) for n in (1, 2, 3, 10, 100)] == [2.0, 4.0, 8.0, 600.0, 600.0]
    assert backoff(1, jitter=0.0) == 1.0
    assert 1.0 <= backoff(1) <= 2.0
