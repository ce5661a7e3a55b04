"""What an owner may ask about jobs, and what not."""

import uuid

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions, transaction
from app.exceptions.base import ConflictException, NotFoundException
from app.models.job import Job, JobState
from app.services.jobs import cancel_job, get_job, list_jobs, moves, retry_job
from app.services.jobs.doorbell import queues_to_ring
from tests.accounts import OWNER
from tests.services.jobs.shapes import Accept, Do, HistoryOf, RowOf, Take, other_owner

ERROR = {"code": "x", "message": "it did not work"}


async def test_another_owners_job_is_not_there(session: AsyncSession, accept: Accept) -> None:
    job_id, stranger = await accept(), await other_owner(session)
    for ask in (get_job, cancel_job, retry_job):
        with pytest.raises(NotFoundException, match="Job not found"):
            await ask(session, job_id, owner_id=stranger)
    assert await list_jobs(session, owner_id=stranger) == ([], 0)


async def test_jobs_are_listed_newest_first_and_in_pages(session: AsyncSession, accept: Accept) -> None:
    accepted = [await accept() for _ in range(3)]
    page, total = await list_jobs(session, owner_id=OWNER, limit=2)
    rest, _ = await list_jobs(session, owner_id=OWNER, limit=2, offset=2)
    assert [job.id for job in (*page, *rest)] == accepted[::-1]
    assert total == 3


async def test_lists_are_filtered_by_state_and_kind(
    session: AsyncSession, accept: Accept, take: Take
) -> None:
    running, poison = await accept(), await accept("test.poison")
    await take()
    found, total = await list_jobs(session, owner_id=OWNER, state=JobState.RUNNING)
    assert ([job.id for job in found], total) == ([running], 1)
    found, total = await list_jobs(session, owner_id=OWNER, kind="test.poison")
    assert ([job.id for job in found], total) == ([poison], 1)


async def test_a_waiting_job_is_cancelled_at_once(
    sessions: Sessions, accept: Accept, take: Take, history: HistoryOf
) -> None:
    job_id = await accept()
    async with transaction(sessions) as session:
        job = await cancel_job(session, job_id, owner_id=OWNER)
    assert job.state == JobState.CANCELLED
    assert job.finished_at is not None
    assert await take() is None
    assert await history(job_id) == ["queued", "cancelled"]


async def test_a_running_job_is_asked_to_stop(sessions: Sessions, accept: Accept, take: Take, do: Do) -> None:
    job_id = await accept()
    await take()
    async with transaction(sessions) as session:
        job = await cancel_job(session, job_id, owner_id=OWNER)
    assert (job.state, job.finished_at) == (JobState.RUNNING, None)
    asked = job.cancel_requested_at
    assert asked is not None
    assert await do(moves.watch(job_id, 1)) == [(True,)]
    async with transaction(sessions) as session:
        job = await cancel_job(session, job_id, owner_id=OWNER)
    assert job.cancel_requested_at == asked


async def test_an_ended_job_cannot_be_cancelled(
    session: AsyncSession, accept: Accept, take: Take, do: Do
) -> None:
    job_id = await accept()
    await take()
    await do(moves.succeed(job_id, 1, None))
    with pytest.raises(ConflictException, match="has succeeded: only a waiting or running job"):
        await cancel_job(session, job_id, owner_id=OWNER)
    with pytest.raises(ConflictException, match="has succeeded: only a failed or cancelled job"):
        await retry_job(session, job_id, owner_id=OWNER)


async def test_a_cancelled_job_answers_as_it_is_when_it_is_cancelled_again(
    sessions: Sessions, accept: Accept, history: HistoryOf
) -> None:
    job_id = await accept()
    async with transaction(sessions) as session:
        first = await cancel_job(session, job_id, owner_id=OWNER)
    async with transaction(sessions) as session:
        second = await cancel_job(session, job_id, owner_id=OWNER)
    assert (second.state, second.finished_at) == (JobState.CANCELLED, first.finished_at)
    assert await history(job_id) == ["queued", "cancelled"]


async def test_a_waiting_job_cannot_be_retried(session: AsyncSession, accept: Accept) -> None:
    with pytest.raises(ConflictException, match="is queued"):
        await retry_job(session, await accept(), owner_id=OWNER)


async def test_a_retried_job_has_all_its_attempts_anew(
    sessions: Sessions, accept: Accept, take: Take, do: Do, row: RowOf
) -> None:
    job_id = await accept("test.poison")
    for attempt in (1, 2):
        await take()
        await do(moves.try_again(job_id, attempt, ERROR, delay=0.0))
    async with transaction(sessions) as session:
        job = await retry_job(session, job_id, owner_id=OWNER)
        assert queues_to_ring(session) == {"default"}
    assert (job.state, job.error, job.finished_at) == (JobState.QUEUED, None, None)
    await take()
    again = await row(job_id)
    assert (again.attempt, again.max_attempts) == (3, 4)


async def test_an_attempt_from_before_the_retry_cannot_complete_it(
    sessions: Sessions, accept: Accept, take: Take, do: Do, row: RowOf
) -> None:
    job_id = await accept()
    await take()
    await do(moves.fail(job_id, 1, ERROR))
    async with transaction(sessions) as session:
        await retry_job(session, job_id, owner_id=OWNER)
    await take()
    assert await do(moves.succeed(job_id, 1, None)) == []
    assert (await row(job_id)).state == JobState.RUNNING


async def test_an_unknown_job_is_not_there(session: AsyncSession) -> None:
    with pytest.raises(NotFoundException):
        await get_job(session, uuid.uuid4(), owner_id=OWNER)
    assert (await session.scalars(select(Job))).all() == []
