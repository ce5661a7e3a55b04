"""Old rows go; what is still needed stays."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.job import Job, JobEvent
from app.models.schedule_slot import ScheduleSlot
from app.services.jobs import cancel_job, enqueue
from app.services.jobs.pruning import prune_jobs, prune_slots
from tests.accounts import OWNER
from tests.workers.kinds import Args


async def ended_job(session: AsyncSession, days: float) -> Job:
    job = await enqueue(session, "test.effect", Args(), owner_id=OWNER)
    await cancel_job(session, job.id, owner_id=OWNER)
    ended = func.now() - literal(timedelta(days=days))
    await session.execute(update(Job).where(Job.id == job.id).values(finished_at=ended))
    return job


async def test_jobs_that_ended_long_ago_go_with_their_events(session: AsyncSession) -> None:
    await ended_job(session, 31)
    recent = await ended_job(session, 29)
    waiting = await enqueue(session, "test.effect", Args(), owner_id=OWNER)
    assert await prune_jobs(session, days=30, limit=10) == 1
    assert set(await session.scalars(select(Job.id))) == {recent.id, waiting.id}
    assert set(await session.scalars(select(JobEvent.job_id))) == {recent.id, waiting.id}


async def test_pruning_goes_in_steps(session: AsyncSession) -> None:
    for _ in range(3):
        await ended_job(session, 31)
    assert await prune_jobs(session, days=30, limit=2) == 2
    assert await prune_jobs(session, days=30, limit=2) == 1


async def test_the_newest_slot_of_a_schedule_stays(session: AsyncSession) -> None:
    old = datetime.now(UTC) - timedelta(days=60)
    session.add_all(
        ScheduleSlot(schedule=name, slot=old + timedelta(hours=hour)) for name in "ab" for hour in range(3)
    )
    await session.flush()
    assert await prune_slots(session, days=30, limit=100) == 4
    left = (await session.scalars(select(ScheduleSlot.slot))).all()
    assert set(left) == {old + timedelta(hours=2)}
