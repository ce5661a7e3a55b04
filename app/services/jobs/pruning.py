"""Forgetting jobs that ended long ago, with their events, and the slots of schedules."""

from datetime import timedelta

from sqlalchemy import delete, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.models.job import Job
from app.models.schedule_slot import ScheduleSlot


async def prune_jobs(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete up to ``limit`` jobs that ended more than ``days`` days ago; gives how many."""
    old = (
        select(Job.id)
        .where(Job.finished_at.is_not(None), Job.finished_at < func.now() - literal(timedelta(days=days)))
        .order_by(Job.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    deleted = await session.scalars(delete(Job).where(Job.id.in_(old)).returning(Job.id))
    return len(deleted.all())


async def prune_slots(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete up to ``limit`` slots older than ``days`` days, never a schedule's newest; gives how many.

    The newest says what was missed since; without it a schedule would begin anew.
    """
    newer = aliased(ScheduleSlot)
    old = (
        select(ScheduleSlot.id)
        .where(
            ScheduleSlot.slot < func.now() - literal(timedelta(days=days)),
            select(newer.id)
            .where(newer.schedule == ScheduleSlot.schedule, newer.slot > ScheduleSlot.slot)
            .exists(),
        )
        .limit(limit)
    )
    deleted = await session.scalars(
        delete(ScheduleSlot).where(ScheduleSlot.id.in_(old)).returning(ScheduleSlot.id)
    )
    return len(deleted.all())
