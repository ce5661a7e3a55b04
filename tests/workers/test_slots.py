"""Firing the slots of schedules from the sweep's thread."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from app.core.config import AppSettings
from app.core.database import Sessions
from app.models.job import Job
from app.workers import slots
from app.workers.slots import Slots
from tests.configuration import make_settings
from tests.serving import NOBODY
from tests.workers import kinds  # noqa: F401 - registers the job that slots ask for


async def test_due_slots_fire_with_a_request_id_of_their_own(
    settings: AppSettings, sessions: Sessions
) -> None:
    await asyncio.to_thread(Slots(settings.database).fire)
    async with sessions() as session:
        jobs = list(await session.scalars(select(Job).where(Job.kind == "maintenance.prune")))
    assert [bool(job.request_id) for job in jobs] == [True]


async def test_without_a_database_a_later_trigger_makes_up_for_it(
    settings: AppSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"postgresql://nobody@{NOBODY}/nothing"
    away = make_settings(tmp_path, address, settings.redis.url.get_secret_value())
    await asyncio.to_thread(Slots(away.database).fire)
    assert [record.message for record in caplog.records] == ["slots_not_fired"]


async def test_a_fault_of_ours_is_not_hidden(settings: AppSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise OSError("not of the database")

    monkeypatch.setattr(slots, "fire_due_slots", broken)
    with pytest.raises(OSError, match="not of the database"):
        await asyncio.to_thread(Slots(settings.database).fire)
