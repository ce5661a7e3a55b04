"""Real beats: any number of them, killed or not, fire each slot once."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from app.core.config import AppSettings
from app.core.database import Sessions
from app.services.heartbeats import read_heartbeats
from tests.configuration import make_settings
from tests.serving import NOBODY
from tests.workers.conftest import Ledger, StartWorker
from tests.workers.processes import CeleryProcess, beat, end
from tests.workers.waiting import until

FAST = "tests.workers.fast_beat"
PERIODS = (0.5, 0.7)
"""Of its schedules, in seconds."""


@pytest.fixture
def beats(settings: AppSettings, tmp_path: Path) -> Iterator[list[CeleryProcess]]:
    """Four beats at once."""
    started = [beat(tmp_path, settings, f"beat{number}", FAST).start() for number in range(4)]
    yield started
    end(started)


async def slots(sessions: Sessions) -> list[tuple[str, float]]:
    async with sessions() as session:
        rows = await session.execute(
            text(
                "SELECT schedule, extract(epoch FROM slot)::float FROM schedule_slots"
                " WHERE schedule LIKE 'fast-%' ORDER BY slot"
            )
        )
        return [(name, moment) for name, moment in rows]


@pytest.mark.usefixtures("redis")
async def test_four_beats_fire_each_slot_once(
    sessions: Sessions, beats: list[CeleryProcess], start_worker: StartWorker, ledger: Ledger
) -> None:
    """One of them is killed and comes back meanwhile; no slot is left out, none fires twice."""
    worker = start_worker(app=FAST)

    async def many() -> bool:
        return len(await slots(sessions)) >= 20

    async def some() -> bool:
        return len(await slots(sessions)) >= 5

    await until(some, "the first slots")
    beats[0].kill()
    beats[0].start()
    await until(many, "20 slots")
    for process in beats:
        process.kill()

    async def done() -> bool:
        return len(await ledger()) == len(await slots(sessions))

    await until(done, "the jobs of all slots")
    assert worker.alive
    fired = await slots(sessions)
    for every in PERIODS:
        moments = [moment for name, moment in fired if name == f"fast-{every}"]
        gaps = [round(later - moment, 3) for moment, later in pairwise(moments)]
        assert set(gaps) == {every}


async def test_a_beat_shows_that_it_ticks(
    settings: AppSettings, redis: Redis, beats: list[CeleryProcess]
) -> None:
    async def told() -> bool:
        return len([beat for beat in await read_heartbeats(redis) if beat.kind == "beat"]) == 4

    await until(told, "the heartbeats in Redis")

    async def touched() -> bool:
        return all(process.heartbeat.exists() for process in beats)

    await until(touched, "the heartbeat files")


async def test_a_beat_without_a_broker_lives_and_beats(settings: AppSettings, tmp_path: Path) -> None:
    away = make_settings(tmp_path, settings.database.url.get_secret_value(), f"redis://{NOBODY}/0")
    process = beat(tmp_path, away, "lonely", FAST).start()
    try:

        async def beaten() -> bool:
            return process.heartbeat.exists() and "message_not_sent" in process.text()

        await until(beaten, "a heartbeat without a broker")
        before = process.heartbeat.stat().st_mtime

        async def again() -> bool:
            return process.heartbeat.stat().st_mtime > before

        await until(again, "another heartbeat")
        assert process.alive
    finally:
        process.kill()
