"""Running a claimed job that is told to stop: lost, cancelled, over its limits, or its worker stops."""

import pytest

from app.models.job import JobState
from app.workers import keeper
from tests.workers.child import Child, killed
from tests.workers.conftest import Ledger


@pytest.fixture
def clemency(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that was told to stop has time for it, however busy the machine is."""
    monkeypatch.setattr(keeper, "STOP_GRACE", 600.0)


@pytest.mark.usefixtures("clemency")
async def test_a_lost_job_is_stopped_and_leaves_nothing(child: Child) -> None:
    job_id, task = await child.begin("test.wait")
    await child.lose(job_id)
    await task
    assert (await child.row(job_id)).state == JobState.RETRYING
    assert not child.killed.is_set()


async def test_effects_of_a_lost_job_are_rolled_back(child: Child, ledger: Ledger) -> None:
    job_id = await child.accept("test.effect", word="twice")
    first = await child.executor.claim("default")
    assert first is not None
    await child.lose(job_id)
    second = await child.executor.claim("default")
    assert second is not None
    await child.executor.run(second)
    await child.executor.run(first)
    assert await ledger() == ["twice"]
    assert (await child.row(job_id)).attempt == 2


async def test_a_lost_job_that_does_not_stop_is_killed(child: Child) -> None:
    job_id, task = await child.begin("test.stubborn")
    await child.lose(job_id)
    await killed(child, task)
    assert (await child.row(job_id)).state == JobState.RETRYING


async def test_a_running_job_is_cancelled_cooperatively(child: Child) -> None:
    job_id, task = await child.begin("test.wait")
    await child.cancel(job_id)
    await task
    assert (await child.row(job_id)).state == JobState.CANCELLED
    assert child.tools_killed.is_set()
    assert not child.killed.is_set()


async def test_a_job_that_does_not_let_itself_be_cancelled_is_killed(child: Child) -> None:
    child.keeper._cancel_grace = 0.5
    job_id, task = await child.begin("test.stubborn")
    await child.cancel(job_id)
    await killed(child, task)
    assert (await child.row(job_id)).state == JobState.CANCELLED


async def test_a_job_over_its_soft_limit_is_stopped(child: Child) -> None:
    job = await child.run("test.limited")
    assert job.state == JobState.FAILED
    assert job.error == {"code": "time_limit", "message": "The job took longer than 1 s."}


async def test_a_job_over_its_hard_limit_is_killed(child: Child) -> None:
    job_id, task = await child.begin("test.limited_stubborn")
    child.ahead = 50.0
    await killed(child, task)
    job = await child.row(job_id)
    assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, "time_limit")


async def test_a_kind_with_a_hard_limit_alone_is_held_to_it(child: Child) -> None:
    """CELERY_TASK_SOFT_TIME_LIMIT is beyond it, so it is the only one."""
    job_id, task = await child.begin("test.hard_limit_alone")
    child.ahead = 30.0
    await killed(child, task)
    assert ((await child.row(job_id)).error or {})["code"] == "time_limit"


async def test_a_job_cancelled_just_before_a_stop_does_not_run_again(child: Child) -> None:
    job_id, task = await child.begin("test.wait")
    await child.cancel(job_id)
    child.keeper.stop()
    await task
    assert (await child.row(job_id)).state == JobState.CANCELLED


async def test_a_stopping_worker_gives_its_job_back(child: Child) -> None:
    job_id, task = await child.begin("test.wait")
    child.keeper.stop()
    await task
    job = await child.row(job_id)
    assert (job.state, job.attempt, job.max_attempts) == (JobState.QUEUED, 1, 3)


async def test_a_stopping_worker_gives_a_stubborn_job_back_before_it_kills_it(child: Child) -> None:
    job_id, task = await child.begin("test.stubborn")
    child.keeper.stop()
    await killed(child, task)
    assert (await child.row(job_id)).state == JobState.QUEUED


@pytest.mark.parametrize("lease", [15.0])
async def test_the_lease_of_a_job_that_blocks_the_loop_is_renewed(child: Child, ledger: Ledger) -> None:
    """It blocks until then."""
    job = await child.run("test.block")
    assert job.state == JobState.SUCCEEDED
    assert job.attempt == 1
    assert child.proofs > 0
    assert await ledger() == ["done"]


@pytest.mark.parametrize("lease", [15.0])
async def test_progress_that_no_column_can_hold_does_not_cost_the_lease(child: Child) -> None:
    """It works until its lease has been renewed."""
    job = await child.run("test.odd_progress")
    assert (job.state, job.attempt, job.progress_word) == (JobState.SUCCEEDED, 1, "halfway ")
