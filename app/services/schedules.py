"""Schedules: beat only triggers, a row decides. Each slot fires once, with any number of beats."""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import is_unavailable
from app.models.schedule_slot import ScheduleSlot
from app.services.jobs.queueing import enqueue
from app.services.users import SYSTEM_OWNER

MOST_AT_ONCE: Final = 100
"""Missed slots that one trigger makes up for; the next goes on."""

_BEGINNING: Final = 0x686F6C64736C6F74
"""The key of the advisory lock under which schedules begin."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_log = logging.getLogger(__name__)


class Missed(StrEnum):
    """What happens to slots that passed while nothing triggered."""

    RUN_ONCE = "run_once"
    """The newest alone runs."""
    RUN_ALL = "run_all"
    """Every one runs, the oldest first."""
    SKIP = "skip"
    """None runs; the next slot runs in its time."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that is due every so often.

    Args:
        name: what its slots are stored under; it stays for ever.
        every: seconds from slot to slot.
        job: the kind of job that a slot asks for.
        offset: seconds by which slots are later than multiples of ``every`` since 1970 in UTC.
        missed: what happens to slots that passed while nothing triggered.
        args: the job's arguments; ``slot`` is not added.
    """

    name: str
    every: float
    job: str
    offset: float = 0.0
    missed: Missed = Missed.RUN_ONCE
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def tolerance(self) -> timedelta:
        """How late a slot may be found and still count as in time: triggers come every few seconds."""
        return timedelta(seconds=min(self.every, 60.0))

    def newest(self, now: datetime) -> datetime:
        """The last slot that is not after ``now``."""
        return self._slot((now - _EPOCH).total_seconds())

    def due(self, last: datetime | None, now: datetime) -> list[datetime]:
        """The slots to fire now, the oldest first.

        Args:
            last: the last slot that fired, None where none ever did.
            now: the database's time.
        """
        newest = self.newest(now)
        if last is not None and newest <= last:
            return []
        if self.missed is Missed.SKIP and now - newest > self.tolerance:
            return []
        if self.missed is not Missed.RUN_ALL or last is None:
            return [newest]
        return self._between(last, newest)

    def _between(self, last: datetime, newest: datetime) -> list[datetime]:
        slots: list[datetime] = []
        slot = last
        while slot < newest and len(slots) < MOST_AT_ONCE:
            # From its middle the next slot is found without the error that sums of floats would add.
            slot = self._slot((slot - _EPOCH).total_seconds() + self.every * 1.5)
            slots.append(slot)
        return slots

    def _slot(self, seconds: float) -> datetime:
        number = (seconds - self.offset) // self.every
        return _EPOCH + timedelta(seconds=number * self.every + self.offset)


_SCHEDULES: Final[dict[str, Schedule]] = {}


def add_schedule(schedule: Schedule) -> Schedule:
    """Add a schedule to those that a trigger looks at.

    Raises:
        ValueError: the name is taken, or the interval is not positive.
    """
    if schedule.name in _SCHEDULES:
        raise ValueError(f"There is a schedule named {schedule.name!r} already.")
    if schedule.every <= 0:
        raise ValueError(f"The interval of {schedule.name!r} is not positive.")
    _SCHEDULES[schedule.name] = schedule
    return schedule


def all_schedules() -> list[Schedule]:
    """Every schedule there is."""
    return list(_SCHEDULES.values())


async def fire_due_slots(session: AsyncSession, schedules: Iterable[Schedule]) -> int:
    """Enqueue the job of every slot that is due and that nobody has fired; gives how many.

    A slot and its job are of one transaction, and the slot's row is unique: it fires exactly once. A schedule
    that cannot fire is told of at each trigger, and holds no other up. The first slot of a schedule waits for
    whoever begins one at the same time.
    """
    wanted = list(schedules)
    names = [schedule.name for schedule in wanted]
    last = await _last_slots(session, names)
    if not last.keys() >= set(names):
        # One trigger begins a schedule: of two whose clocks were read apart, each would begin with its own
        # slot, and nobody would make up for those between. One that cannot fire has triggers wait for each
        # other for ever, which costs them milliseconds.
        await session.execute(select(func.pg_advisory_xact_lock(_BEGINNING)))
        last = await _last_slots(session, names)
    now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    fired = 0
    for schedule in wanted:
        try:
            async with session.begin_nested():
                fired += await _fire_all(session, schedule, last.get(schedule.name), now)
        except Exception as error:
            if is_unavailable(error):
                raise
            _log.exception("schedule_not_fired", extra={"schedule": schedule.name})
    return fired


async def _fire_all(session: AsyncSession, schedule: Schedule, last: datetime | None, now: datetime) -> int:
    return sum([await _fire(session, schedule, slot) for slot in schedule.due(last, now)])


async def _last_slots(session: AsyncSession, names: list[str]) -> dict[str, datetime]:
    rows = await session.execute(
        select(ScheduleSlot.schedule, func.max(ScheduleSlot.slot).label("slot"))
        .where(ScheduleSlot.schedule.in_(names))
        .group_by(ScheduleSlot.schedule)
    )
    return {row.schedule: row.slot for row in rows}


async def _fire(session: AsyncSession, schedule: Schedule, slot: datetime) -> bool:
    taken: uuid.UUID | None = await session.scalar(
        insert(ScheduleSlot)
        .values(schedule=schedule.name, slot=slot)
        .on_conflict_do_nothing(index_elements=["schedule", "slot"])
        .returning(ScheduleSlot.id)
    )
    if taken is None:
        return False
    job = await enqueue(session, schedule.job, schedule.args, owner_id=SYSTEM_OWNER)
    await session.execute(update(ScheduleSlot).where(ScheduleSlot.id == taken).values(job_id=job.id))
    _log.info("slot_fired", extra={"schedule": schedule.name, "slot": slot.isoformat(), "job": str(job.id)})
    return True
