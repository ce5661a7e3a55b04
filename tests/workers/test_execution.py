"""Running a claimed job: the ends that it comes to by itself, with a real database."""

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, text, update

from app.core import context
from app.core.database import Sessions
from app.models.job import Job, JobState
from app.services.jobs import logs
from tests.accounts import OWNER
from tests.workers.child import Child
from tests.workers.conftest import Ledger


async def test_a_job_that_succeeds_commits_its_effects_and_its_result(child: Child, ledger: Ledger) -> None:
    job = await child.run("test.effect", word="hello")
    assert (job.state, job.result, job.progress, job.attempt) == (
        JobState.SUCCEEDED,
        {"word": "hello"},
        1.0,
        1,
    )
    assert await ledger() == ["hello"]


async def test_a_refusal_ends_the_job_with_its_reason_and_without_effects(
    child: Child, ledger: Ledger
) -> None:
    job = await child.run("test.refuse")
    assert (job.state, job.error) == (
        JobState.FAILED,
        {"code": "nothing", "message": "There is nothing here."},
    )
    assert await ledger() == []


async def test_a_refusal_may_keep_its_effects(child: Child, ledger: Ledger) -> None:
    job = await child.run("test.refuse_and_keep", word="kept")
    assert job.state == JobState.FAILED
    assert await ledger() == ["kept"]


async def test_a_reason_that_no_column_can_hold_is_cleaned(child: Child) -> None:
    job = await child.run("test.refuse_with_nul")
    assert (job.state, job.error) == (JobState.FAILED, {"code": "odd", "message": "what the file says:  "})


async def test_a_refusal_whose_effects_cannot_be_kept_is_tried_again(child: Child) -> None:
    job = await child.run("test.refuse_and_keep_nothing")
    assert (job.state, job.deaths) == (JobState.RETRYING, 0)
    assert (job.error or {})["code"] == "unexpected_error"


async def test_a_lost_refusal_is_not_tried_again(child: Child) -> None:
    await child.accept("test.refuse")
    claim = await child.executor.claim("default")
    assert claim is not None
    await child.lose(claim.id)
    await child.executor.run(claim)
    assert ((await child.row(claim.id)).error or {})["code"] == "worker_died"


async def test_an_error_is_tried_again_later_without_effects_or_details(child: Child, ledger: Ledger) -> None:
    job = await child.run("test.raise")
    assert job.state == JobState.RETRYING
    assert job.error is not None
    assert "ValueError" in job.error["message"]
    assert "secret" not in job.error["message"]
    assert job.run_at > job.updated_at
    assert await ledger() == []


async def test_what_is_away_is_waited_for_without_counting_attempts(child: Child, ledger: Ledger) -> None:
    job = await child.run("test.outage")
    for _ in range(3):
        await child.do(update(Job).values(run_at=func.now()))
        await child.work()
    job = await child.row(job.id)
    assert (job.state, job.attempt, job.deaths) == (JobState.RETRYING, 4, 0)
    assert job.error == {"code": "insufficient_storage", "message": "The disk is full."}
    assert job.run_at > job.updated_at
    assert await ledger() == []


async def test_the_last_error_ends_the_job(child: Child) -> None:
    job = await child.run("test.raise")
    for _ in range(2):
        await child.do(update(Job).values(run_at=func.now()))
        await child.work()
    job = await child.row(job.id)
    assert (job.state, job.attempt) == (JobState.FAILED, 3)


async def test_a_result_that_is_no_json_fails_without_effects(child: Child, ledger: Ledger) -> None:
    job = await child.run("test.bad_result")
    assert job.state == JobState.FAILED
    assert await ledger() == []


async def test_arguments_of_another_version_are_left_for_a_later_attempt(child: Child) -> None:
    job_id = await child.accept("test.effect")
    await child.do(update(Job).values(args={"from": "the future"}))
    await child.work()
    assert (await child.row(job_id)).state == JobState.RETRYING


async def test_a_job_that_a_job_asks_for_is_rung_for(child: Child, redis: Redis) -> None:
    await child.run("test.parent")
    await child.doorbell.aclose()
    assert await redis.llen("default") == 1
    await child.work()


async def test_the_request_goes_with_the_job(child: Child) -> None:
    with context.bound(context.request_id, "the-request"):
        job_id = await child.accept("test.context")
    with context.bound(context.request_id, "the-doorbell"):
        await child.work()
    assert (await child.row(job_id)).result == {
        "request": "the-request",
        "job": str(job_id),
        "user": str(OWNER),
    }


async def test_reading_is_read_only_and_does_not_stay_so(child: Child, ledger: Ledger) -> None:
    job = await child.run("test.read", word="written")
    assert job.result == {"mode": "on", "again": "on"}
    assert await ledger() == ["written"]


async def test_a_doorbell_runs_all_that_is_due(child: Child, ledger: Ledger) -> None:
    for _ in range(5):
        await child.accept("test.effect")
    await child.executor.serve("default", goes_on=lambda: True)
    assert await ledger() == ["done"] * 5


async def test_a_stopping_worker_takes_no_more_jobs(child: Child, ledger: Ledger) -> None:
    for _ in range(3):
        await child.accept("test.effect")
    left = iter((True, False))
    await child.executor.serve("default", goes_on=lambda: next(left))
    assert await ledger() == ["done"]


async def test_a_doorbell_whose_time_is_up_rings_again(
    child: Child, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.workers.execution.SERVE_SECONDS", 0.0)
    await child.accept("test.effect")
    await child.executor.serve("default", goes_on=lambda: True)
    await child.doorbell.aclose()
    assert await redis.llen("default") == 1


async def test_no_transaction_is_open_while_a_job_works(child: Child) -> None:
    job_id, task = await child.begin("test.wait")
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state LIKE 'idle in transaction%'"
    )
    async with child.sessions() as session:
        assert (await session.execute(query)).scalar_one() == 0
    await child.cancel(job_id)
    await task


async def test_what_a_job_told_stays_though_its_attempt_failed(child: Child, sessions: Sessions) -> None:
    job = await child.run("test.tell", word="odd")
    async with sessions() as session:
        lines, _ = await logs.read(session, job.id, limit=100)
    assert "word is odd" in [line.message for line in lines]
    assert "a secret detail" not in " ".join(line.message for line in lines)
