"""Beat's scheduler, in this process."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis as blocking
from redis.asyncio import Redis

from app.celery_app import TICKS, configuration, create_celery
from app.core import config
from app.core.config import AppSettings
from app.services.heartbeats import KEY, read_heartbeats
from app.workers import schedule
from app.workers.schedule import TriggerScheduler
from tests.workers.waiting import until


@pytest.fixture
async def scheduler(
    settings: AppSettings, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TriggerScheduler]:
    monkeypatch.setitem(vars(config), "settings", settings)
    monkeypatch.setenv("HEARTBEAT_FILE", str(tmp_path / "beat"))
    celery = create_celery(lambda: configuration(settings))
    celery.conf.beat_schedule["tick"]["schedule"] = 0.01
    scheduler = TriggerScheduler(celery)
    yield scheduler
    scheduler.close()


async def triggered(scheduler: TriggerScheduler, redis: Redis) -> bool:
    scheduler.tick()
    return await redis.llen(TICKS) > 0


async def refused(scheduler: TriggerScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the broker has taken none of several triggers."""
    tried: list[object] = []

    def refuse(*trigger: object) -> bool:
        tried.append(trigger)
        return False

    monkeypatch.setattr(scheduler._publisher, "send", refuse)

    async def several() -> bool:
        scheduler.tick()
        return len(tried) >= 3

    await until(several, "triggers that are refused")


async def test_a_tick_sends_one_trigger_and_says_so(
    scheduler: TriggerScheduler, redis: Redis, tmp_path: Path
) -> None:
    await until(lambda: triggered(scheduler, redis), "a trigger")
    message = json.loads(str(await redis.lindex(TICKS, 0)))
    assert message["headers"]["task"] == "holdfast.tick"
    assert [beat.kind for beat in await read_heartbeats(redis)] == ["beat"]
    assert (tmp_path / "beat").exists()


async def test_a_heartbeat_that_cannot_be_told_does_not_stop_beat(
    scheduler: TriggerScheduler, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise blocking.ConnectionError

    monkeypatch.setattr(schedule, "write_heartbeat", broken)
    await until(lambda: triggered(scheduler, redis), "a trigger")


async def test_triggers_do_not_pile_up_where_nobody_takes_them(
    scheduler: TriggerScheduler, redis: Redis
) -> None:
    """The cycle is complete all the same: the trigger is where workers will find it."""
    await until(lambda: triggered(scheduler, redis), "a trigger")
    await redis.delete(KEY)

    async def told_again() -> bool:
        scheduler.tick()
        return await redis.zcard(KEY) > 0

    await until(told_again, "another cycle")
    assert await redis.llen(TICKS) == 1
    assert await redis.llen("maintenance") == 0


async def test_a_broker_that_does_not_answer_is_no_waiting_trigger(
    scheduler: TriggerScheduler, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise blocking.ConnectionError

    monkeypatch.setattr(scheduler._broker, "llen", broken)
    await refused(scheduler, monkeypatch)
    assert await read_heartbeats(redis) == []


async def test_a_trigger_that_was_not_sent_is_no_heartbeat(
    scheduler: TriggerScheduler, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refused(scheduler, monkeypatch)
    assert await read_heartbeats(redis) == []


async def test_celerys_own_producer_is_never_made(scheduler: TriggerScheduler) -> None:
    assert scheduler.producer is None
