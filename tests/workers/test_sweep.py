"""One sweep: what it finds, whom it tells, and when it speaks for its worker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.celery_app import TICKS, configuration, create_celery
from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.heartbeat import Heartbeat
from app.models.job import Job, JobState
from app.services.heartbeats import read_heartbeats
from app.services.jobs import enqueue, moves
from app.services.publisher import Publisher
from app.workers.blocking import Line
from app.workers.board import Board
from app.workers.broker import broker_client
from app.workers.slots import Slots
from app.workers.sweep import Sweep
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.servers import beside
from tests.services.jobs.shapes import expired
from tests.serving import NOBODY
from tests.workers import kinds  # noqa: F401 - registers what is accepted here
from tests.workers.waiting import until

PULSES = "holdfast.pulse.here"
CHILDREN = 2


class CountedSlots(Slots):
    """Fires nothing."""

    fired = 0

    def fire(self) -> None:
        self.fired += 1


class Bench:
    """A sweep over real servers, with a board that the test plays the children on."""

    def __init__(self, settings: AppSettings, folder: Path) -> None:
        self.board = Board(CHILDREN)
        self.file = folder / "heartbeat"
        self.slots = CountedSlots(settings.database)
        self.sweep = Sweep(
            Line(settings.database, name="test-sweep"),
            broker_client(settings.broker_url),
            Publisher(create_celery(lambda: configuration(settings))),
            self.board,
            Heartbeat(self.file),
            health=broker_client(settings.redis.url.get_secret_value()),
            slots=self.slots,
            name="here",
            queues=("default", "media"),
            pulse_queue=PULSES,
            period=0.05,
            lease=600.0,
        )

    def busy(self) -> None:
        for child in range(CHILDREN):
            self.board.live(child)


@pytest.fixture
async def bench(settings: AppSettings, redis: Redis, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(settings, tmp_path)
    yield bench
    bench.sweep.close()


async def accept(sessions: Sessions, count: int = 1) -> Job:
    async with transaction(sessions) as session:
        for _ in range(count):
            job = await enqueue(session, "test.effect", {}, owner_id=OWNER)
    return job


async def test_due_work_is_rung_for_once_a_child(bench: Bench, sessions: Sessions, redis: Redis) -> None:
    await accept(sessions, 10)
    bench.sweep.cycle()
    bench.sweep.cycle()
    assert await redis.llen("default") == CHILDREN
    assert await redis.llen("media") == 0


async def test_nothing_is_rung_without_work(bench: Bench, redis: Redis) -> None:
    bench.sweep.cycle()
    assert await redis.llen("default") == 0


async def test_a_dead_workers_job_is_taken_back_and_rung_for(
    bench: Bench, sessions: Sessions, redis: Redis
) -> None:
    job = await accept(sessions)
    async with transaction(sessions) as session:
        await session.execute(moves.claim("default", worker="dead", lease=60, allowances={"test.effect": 5}))
        await session.execute(expired(job.id))
    bench.sweep.cycle()
    async with sessions() as session:
        assert (await session.get_one(Job, job.id)).state == JobState.RETRYING
    assert await redis.llen("default") == 1


async def test_one_pulse_is_under_way_at_a_time(bench: Bench, redis: Redis) -> None:
    bench.sweep.cycle()
    bench.sweep.cycle()
    assert await redis.llen(PULSES) == 1
    assert await redis.ttl(PULSES) > 0


async def test_the_sweep_does_not_speak_for_an_idle_worker(bench: Bench, redis: Redis) -> None:
    bench.sweep.cycle()
    assert not bench.file.exists()
    assert await read_heartbeats(redis) == []


async def test_the_sweep_does_not_speak_for_a_half_busy_worker(bench: Bench) -> None:
    bench.board.live(0)
    bench.sweep.cycle()
    assert not bench.file.exists()


async def test_the_sweep_speaks_for_a_worker_whose_children_all_have_jobs(bench: Bench, redis: Redis) -> None:
    bench.busy()
    bench.sweep.cycle()
    assert bench.file.exists()
    assert [(beat.kind, beat.name) for beat in await read_heartbeats(redis)] == [("worker", "here")]


@pytest.mark.parametrize("missing", ["database", "redis"])
async def test_a_dead_server_is_not_blamed_on_the_worker(
    settings: AppSettings, tmp_path: Path, missing: str
) -> None:
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    if missing == "database":
        database = f"postgresql://nobody@{NOBODY}/nothing"
    else:
        redis = f"redis://{NOBODY}/0"
    bench = Bench(make_settings(tmp_path, database, redis), tmp_path)
    bench.sweep.cycle()
    bench.sweep.close()
    assert bench.file.exists()


async def test_a_statement_that_always_fails_is_no_absent_database(
    bench: Bench, sessions: Sessions, redis: Redis
) -> None:
    """The watchdog must see a worker whose sweep can take nothing back."""
    async with transaction(sessions) as session:
        await session.execute(text("ALTER TABLE jobs RENAME COLUMN deaths TO misfortunes"))
    with pytest.raises(ProgrammingError):
        bench.sweep.cycle()
    assert not bench.file.exists()
    assert await redis.llen(PULSES) == 0


async def test_health_is_told_where_it_asks_however_far_the_broker_is(
    settings: AppSettings, redis: Redis, tmp_path: Path
) -> None:
    own = make_settings(
        tmp_path,
        settings.database.url.get_secret_value(),
        settings.redis.url.get_secret_value(),
        CELERY_BROKER_URL=beside(settings.redis.url.get_secret_value(), "9"),
    )
    assert own.broker_url != own.redis.url.get_secret_value()
    bench = Bench(own, tmp_path)
    bench.busy()
    bench.sweep.cycle()
    bench.sweep.close()
    assert [(beat.kind, beat.name) for beat in await read_heartbeats(redis)] == [("worker", "here")]


async def test_a_trigger_that_no_child_takes_is_answered_by_the_sweep(bench: Bench, redis: Redis) -> None:
    await redis.lpush(TICKS, "a trigger")
    bench.busy()
    bench.sweep.cycle()
    bench.sweep.cycle()
    assert bench.slots.fired == 1
    assert await redis.llen(TICKS) == 0


async def test_without_a_trigger_the_sweep_fires_nothing(bench: Bench) -> None:
    """Beat alone says when."""
    bench.busy()
    bench.sweep.cycle()
    assert bench.slots.fired == 0


async def test_a_sweep_that_drains_beats_on_and_takes_no_part(
    bench: Bench, sessions: Sessions, redis: Redis
) -> None:
    await accept(sessions)
    bench.board.drain()
    bench.sweep.start()

    async def beaten() -> bool:
        return bench.file.exists()

    await until(beaten, "a heartbeat while the worker drains")
    bench.file.unlink()
    await until(beaten, "another heartbeat")
    bench.sweep.stop()
    assert await redis.llen("default") == 0
    assert await redis.llen(PULSES) == 0


async def test_a_sweep_goes_on_after_a_fault(
    bench: Bench, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycle, faults = bench.sweep.cycle, iter((True, False, False))

    def faulty() -> None:
        if next(faults, False):
            raise RuntimeError("unforeseen")
        cycle()

    monkeypatch.setattr(bench.sweep, "cycle", faulty)
    bench.sweep.start()

    async def pulsed() -> int:
        return await redis.llen(PULSES)

    await until(pulsed, "a pulse after the fault")
    bench.sweep.stop()
