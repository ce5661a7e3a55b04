"""Schedules: which slots are due, and that each fires once."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions, transaction
from app.models.job import Job
from app.models.schedule_slot import ScheduleSlot
from app.services import schedules
from app.services.schedules import (
    MOST_AT_ONCE,
    Missed,
    Schedule,
    add_schedule,
    all_schedules,
    fire_due_slots,
)
from app.services.users import SYSTEM_OWNER
from tests.servers import DEADLINE, WAITING_FOR_LOCKS
from tests.workers import kinds  # noqa: F401 - registers the job that slots ask for

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hourly(missed: Missed = Missed.RUN_ONCE, *, offset: float = 0.0) -> Schedule:
    return Schedule("hourly", every=3600.0, job="test.effect", missed=missed, offset=offset)


@pytest.mark.parametrize("now", [NOON, NOON + timedelta(minutes=59, seconds=59, microseconds=999_999)])
def test_a_slot_lasts_until_the_next(now: datetime) -> None:
    assert hourly().newest(now) == NOON


def test_the_offset_makes_slots_later() -> None:
    assert hourly(offset=600.0).newest(NOON) == NOON - timedelta(minutes=50)
    assert Schedule("d", every=86400.0, job="x", offset=4 * 3600.0).newest(NOON) == NOON.replace(hour=4)


def test_a_slot_that_fired_is_not_due() -> None:
    assert hourly().due(NOON, NOON + timedelta(minutes=5)) == []


def test_the_next_slot_is_due_in_its_time() -> None:
    assert hourly().due(NOON - HOUR, NOON) == [NOON]


def test_a_slot_older_than_the_last_is_never_due() -> None:
    """A clock that was set back."""
    assert hourly(Missed.RUN_ALL).due(NOON + 3 * HOUR, NOON) == []


@pytest.mark.parametrize(
    ("missed", "due"),
    [
        (Missed.RUN_ONCE, [NOON]),
        (Missed.RUN_ALL, [NOON - 2 * HOUR, NOON - HOUR, NOON]),
        (Missed.SKIP, []),
    ],
)
def test_missed_slots_follow_the_schedules_policy(missed: Missed, due: list[datetime]) -> None:
    assert hourly(missed).due(NOON - 3 * HOUR, NOON + timedelta(minutes=30)) == due


def test_a_slot_found_in_time_is_not_skipped() -> None:
    assert hourly(Missed.SKIP).due(NOON - HOUR, NOON + timedelta(seconds=59)) == [NOON]


@pytest.mark.parametrize("missed", [Missed.RUN_ONCE, Missed.RUN_ALL])
def test_a_new_schedule_begins_with_its_newest_slot(missed: Missed) -> None:
    assert hourly(missed).due(None, NOON) == [NOON]


def test_missed_slots_are_made_up_for_in_steps() -> None:
    schedule = Schedule("fast", every=0.7, job="x", missed=Missed.RUN_ALL)
    slots = schedule.due(schedule.newest(NOON - timedelta(days=1)), NOON)
    assert len(slots) == MOST_AT_ONCE
    assert len(set(slots)) == MOST_AT_ONCE
    assert all(schedule.newest(slot) == slot for slot in slots)


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="already"):
        add_schedule(all_schedules()[0])


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match="not positive"):
        add_schedule(Schedule("never", every=0.0, job="x"))


async def test_a_slot_and_its_job_are_of_one_transaction(session: AsyncSession) -> None:
    assert await fire_due_slots(session, [hourly()]) == 1
    slot = (await session.scalars(select(ScheduleSlot))).one()
    job = await session.get_one(Job, slot.job_id)
    assert (job.kind, job.owner_id) == ("test.effect", SYSTEM_OWNER)
    await session.rollback()
    assert (await session.scalars(select(ScheduleSlot))).all() == []
    assert (await session.scalars(select(Job))).all() == []


async def test_a_second_trigger_fires_nothing(session: AsyncSession) -> None:
    await fire_due_slots(session, [hourly()])
    assert await fire_due_slots(session, [hourly()]) == 0


@pytest.mark.parametrize(
    "bad",
    [
        Schedule("bad", every=3600.0, job="no.such.kind"),
        Schedule("bad", every=3600.0, job="test.effect", args={"wrong": 1}),
        Schedule("bad", every=3600.0, job="test.effect", args={"word": "\x00"}),
        Schedule("bad", every=1e-300, job="test.effect"),
    ],
)
async def test_a_schedule_that_cannot_fire_holds_no_other_up(sessions: Sessions, bad: Schedule) -> None:
    async with transaction(sessions) as session:
        assert await fire_due_slots(session, [bad, hourly()]) == 1
    async with sessions() as session:
        assert (await session.scalars(select(ScheduleSlot.schedule))).all() == ["hourly"]


async def test_a_lost_database_is_no_fault_of_a_schedule(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object, **_options: object) -> None:
        raise DBAPIError("INSERT", None, OSError("gone"), connection_invalidated=True)

    monkeypatch.setattr(schedules, "enqueue", lost)
    with pytest.raises(DBAPIError):
        await fire_due_slots(session, [hourly()])


async def test_many_triggers_at_once_fire_a_slot_once(sessions: Sessions) -> None:
    # Of slots so long that none ends in the middle of the test.
    both = [Schedule(name, every=1e9, job="test.effect") for name in ("one", "other")]

    async def trigger() -> int:
        async with transaction(sessions) as session:
            return await fire_due_slots(session, both)

    assert sum(await asyncio.gather(*(trigger() for _ in range(5)))) == 2
    async with sessions() as session:
        assert (await session.execute(select(func.count()).select_from(Job))).scalar_one() == 2


async def test_a_second_trigger_goes_on_where_the_one_that_began_a_schedule_was(
    sessions: Sessions, session: AsyncSession
) -> None:
    short = Schedule("short", every=0.02, job="test.effect", missed=Missed.RUN_ALL)

    async def trigger() -> int:
        async with transaction(sessions) as second:
            return await fire_due_slots(second, [short])

    async with transaction(sessions) as first:
        assert await fire_due_slots(first, [short]) == 1
        fired = asyncio.create_task(trigger())
        async with asyncio.timeout(DEADLINE):
            while (await session.execute(WAITING_FOR_LOCKS)).scalar_one() == 0:
                await session.rollback()
                await asyncio.sleep(0.1)
    assert await fired > 1
    slots = (await session.scalars(select(ScheduleSlot.slot).order_by(ScheduleSlot.slot))).all()
    steps = {round((later - slot).total_seconds(), 3) for slot, later in itertools.pairwise(slots)}
    assert steps == {0.02}
