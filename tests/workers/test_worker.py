"""Real workers: what happens when they, their children or their broker die, stop or hang."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from sqlalchemy import func, update

from app.celery_app import configuration, create_celery
from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.job import ENDED, Job, JobState
from app.services.heartbeats import read_heartbeats
from app.services.jobs import Doorbell, cancel_job, enqueue, retry_job
from app.services.unit_of_work import unit_of_work
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.servers import redis_server, state_folder
from tests.services.jobs.shapes import expired
from tests.workers.conftest import Ask, Ledger, RowOf, StartWorker
from tests.workers.processes import CeleryProcess
from tests.workers.waiting import until


async def ended(row_of: RowOf, job_id: uuid.UUID) -> Job:
    async def has_ended() -> bool:
        return (await row_of(job_id)).state in ENDED

    await until(has_ended, "the end of the job")
    return await row_of(job_id)


async def waits(row_of: RowOf, job_id: uuid.UUID) -> None:
    """Until the job's function runs."""

    async def has_begun() -> bool:
        return (await row_of(job_id)).progress_word == "waiting"

    await until(has_begun, "the start of the job")


async def beats(process: CeleryProcess) -> None:
    """Until the worker proves anew that it consumes."""
    before = modified(process)

    async def has_beaten() -> bool:
        return modified(process) > before

    await until(has_beaten, "a heartbeat")


async def sweeps(redis: Redis) -> None:
    """Until a worker has swept: it rings anew for due work that nobody takes."""
    await redis.delete("default")

    async def has_rung() -> bool:
        return await redis.llen("default") > 0

    await until(has_rung, "a ring of the sweep")


def modified(process: CeleryProcess) -> float:
    return process.heartbeat.stat().st_mtime if process.heartbeat.exists() else 0.0


@pytest.mark.usefixtures("redis")
async def test_a_worker_runs_what_was_accepted(
    ask: Ask, row_of: RowOf, start_worker: StartWorker, ledger: Ledger
) -> None:
    worker = start_worker()
    job = await ended(row_of, await ask("test.effect", word="hello"))
    assert job.state == JobState.SUCCEEDED
    assert await ledger() == ["hello"]

    async def has_told() -> bool:
        lines = [json.loads(line) for line in worker.lines() if line.startswith("{")]
        told = {line["message"] for line in lines if line.get("job_id") == str(job.id)}
        return {"job_started", "job_ended"} <= told

    await until(has_told, "the lines of the job")


@pytest.mark.usefixtures("redis", "ledger")
async def test_a_job_that_kills_its_worker_is_given_up(
    ask: Ask, row_of: RowOf, start_worker: StartWorker
) -> None:
    start_worker(JOB_LEASE_SECONDS="3")
    job = await ended(row_of, await ask("test.poison"))
    assert (job.state, job.attempt) == (JobState.FAILED, 2)
    assert job.error == {"code": "worker_died", "message": "The worker died 2 times while it ran this job."}


@pytest.mark.usefixtures("redis", "ledger")
async def test_a_worker_finds_work_that_nobody_told_it_of(
    sessions: Sessions, row_of: RowOf, start_worker: StartWorker
) -> None:
    """The doorbell was lost; the sweep rings again."""
    await beats(start_worker())
    async with transaction(sessions) as session:
        job_id = (await enqueue(session, "test.effect", {}, owner_id=OWNER)).id
    assert (await ended(row_of, job_id)).state == JobState.SUCCEEDED


@pytest.mark.usefixtures("redis", "ledger")
async def test_the_job_of_a_killed_worker_is_done_by_another(
    ask: Ask, row_of: RowOf, sessions: Sessions, start_worker: StartWorker
) -> None:
    first = start_worker("first")
    job_id = await ask("test.wait_once")
    await waits(row_of, job_id)
    second = start_worker("second")
    await beats(second)
    first.kill()
    async with transaction(sessions) as session:
        await session.execute(expired(job_id))
    job = await ended(row_of, job_id)
    assert (job.state, job.attempt, job.deaths) == (JobState.SUCCEEDED, 2, 1)


@pytest.mark.usefixtures("redis", "ledger")
async def test_a_stubborn_job_is_cancelled_by_killing_its_child(
    ask: Ask, row_of: RowOf, sessions: Sessions, start_worker: StartWorker
) -> None:
    worker = start_worker(JOB_CANCEL_GRACE="1")
    job_id = await ask("test.stubborn")
    await waits(row_of, job_id)
    before = {child.pid for child in worker.children()}
    async with transaction(sessions) as session:
        await session.execute(update(Job).values(cancel_requested_at=func.now()))
    assert (await ended(row_of, job_id)).state == JobState.CANCELLED

    async def replaced() -> bool:
        now = {child.pid for child in worker.children()}
        return len(now) == 2 and now != before

    await until(replaced, "a new child")
    assert (await ended(row_of, await ask("test.effect"))).state == JobState.SUCCEEDED


@pytest.mark.usefixtures("redis", "ledger")
async def test_a_cancelled_job_takes_its_tool_along_and_can_be_retried(
    ask: Ask, row_of: RowOf, sessions: Sessions, start_worker: StartWorker
) -> None:
    worker = start_worker()
    job_id = await ask("test.tool")
    children = []
    for attempt in (1, 2):
        tool = await tool_of(worker)
        children.append(tool.ppid())
        async with transaction(sessions) as session:
            await cancel_job(session, job_id, owner_id=OWNER)
        job = await ended(row_of, job_id)
        assert (job.state, job.attempt) == (JobState.CANCELLED, attempt)
        assert not tool.is_running()
        async with transaction(sessions) as session:
            await retry_job(session, job_id, owner_id=OWNER)
    assert set(children) <= {child.pid for child in worker.children()}, "no child had to be killed"


async def tool_of(worker: CeleryProcess) -> psutil.Process:
    """The ffmpeg that one of a worker's children runs, once it does."""
    found: list[psutil.Process] = []

    async def runs() -> bool:
        for process in psutil.Process(worker.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found.extend([process] if "ffmpeg" in process.name() else [])
        return bool(found)

    await until(runs, "the tool")
    [tool] = found
    return tool


@pytest.mark.usefixtures("redis", "ledger")
async def test_a_stopped_worker_lets_its_job_end_when_it_can(
    ask: Ask, row_of: RowOf, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(WORKER_SOFT_SECONDS="600")
    over = tmp_path / "over"
    job_id = await ask("test.wait_for_file", word=str(over))
    await waits(row_of, job_id)
    worker.send(signal.SIGQUIT)
    for _ in range(4):
        await beats(worker)
    over.touch()
    await asyncio.to_thread(worker.wait)
    assert (await row_of(job_id)).state == JobState.SUCCEEDED


@pytest.mark.usefixtures("redis", "ledger")
async def test_a_worker_that_waits_for_its_last_job_is_not_blamed(
    ask: Ask, row_of: RowOf, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    over = tmp_path / "over"
    job_id = await ask("test.wait_for_file", word=str(over))
    await waits(row_of, job_id)
    worker.send(signal.SIGTERM)
    for _ in range(4):
        await beats(worker)
    assert (await row_of(job_id)).state == JobState.RUNNING
    over.touch()
    await asyncio.to_thread(worker.wait)
    assert (await row_of(job_id)).state == JobState.SUCCEEDED


@pytest.mark.usefixtures("redis", "ledger")
@pytest.mark.parametrize("kind", ["test.wait", "test.stubborn"])
async def test_a_stopped_worker_gives_back_what_it_cannot_end(
    ask: Ask, row_of: RowOf, start_worker: StartWorker, kind: str
) -> None:
    worker = start_worker(WORKER_SOFT_SECONDS="1")
    job_id = await ask(kind)
    await waits(row_of, job_id)
    children = worker.children()
    worker.send(signal.SIGQUIT)
    await asyncio.to_thread(worker.wait)
    job = await row_of(job_id)
    assert (job.state, job.attempt, job.deaths) == (JobState.QUEUED, 1, 0)
    assert not any(child.is_running() for child in children)


@pytest.mark.usefixtures("ledger")
async def test_without_a_broker_jobs_are_accepted_and_run_after_its_return(
    settings: AppSettings, sessions: Sessions, row_of: RowOf, start_worker: StartWorker, tmp_path: Path
) -> None:
    with state_folder() as folder:
        server = redis_server(folder)
        server.start()
        try:
            own = make_settings(tmp_path, settings.database.url.get_secret_value(), server.address)
            worker = start_worker(of=own)
            doorbell = Doorbell(create_celery(lambda: configuration(own)))

            async def accept() -> uuid.UUID:
                async with unit_of_work(sessions, doorbell) as session:
                    return (await enqueue(session, "test.effect", {}, owner_id=OWNER)).id

            # Celery ends where the broker dies while its consumer starts; a job that ran shows that it has.
            await ended(row_of, await accept())
            server.kill()
            # A dead broker is not blamed on the worker.
            await beats(worker)
            job_id = await accept()
            await doorbell.aclose()
            server.start()
            assert (await ended(row_of, job_id)).state == JobState.SUCCEEDED
            assert worker.alive
        finally:
            server.kill()


async def test_a_worker_that_consumes_shows_it_to_all(redis: Redis, start_worker: StartWorker) -> None:
    worker = start_worker()
    await beats(worker)
    await beats(worker)

    async def told() -> bool:
        return [(beat.kind, beat.name.split("@")[0]) for beat in await read_heartbeats(redis)] == [
            ("worker", "worker")
        ]

    await until(told, "the heartbeat in Redis")


@pytest.mark.usefixtures("redis", "ledger")
async def test_a_worker_whose_children_are_busy_is_not_blamed(
    ask: Ask, row_of: RowOf, start_worker: StartWorker
) -> None:
    worker = start_worker(WORKER_CONCURRENCY="1")
    job_id = await ask("test.stubborn")
    await waits(row_of, job_id)
    for _ in range(3):
        await beats(worker)
    assert (await row_of(job_id)).state == JobState.RUNNING


async def test_a_worker_that_no_longer_consumes_stops_to_beat(
    settings: AppSettings, sessions: Sessions, redis: Redis, start_worker: StartWorker
) -> None:
    """It lives, answers to control commands and sweeps; but what is in its queues stays there."""
    worker = start_worker()
    await beats(worker)
    celery = create_celery(lambda: configuration(settings))
    node = f"worker@{os.uname().nodename}"
    pulses = f"holdfast.pulse.{node}"
    for queue in ("default", "media", "maintenance", pulses):
        cancel = partial(celery.control.cancel_consumer, queue, destination=[node], reply=True, timeout=5)

        async def answers(cancel: Callable[[], object] = cancel) -> bool:
            return bool(await asyncio.to_thread(cancel))

        await until(answers, "an answer of the worker")

    async def piles_up() -> bool:
        return await redis.llen(pulses) > 0

    await until(piles_up, "a pulse that nobody takes")
    async with transaction(sessions) as session:
        await enqueue(session, "test.effect", {}, owner_id=OWNER)

    async def is_silent() -> bool:
        # A pulse that it took before may still be on its way through a child.
        since = modified(worker)
        for _ in range(3):
            await sweeps(redis)
        return modified(worker) == since

    await until(is_silent, "silence through several sweeps")
    assert worker.alive


@pytest.mark.usefixtures("redis", "ledger")
async def test_a_job_that_blocks_its_child_keeps_its_lease(
    ask: Ask, row_of: RowOf, start_worker: StartWorker
) -> None:
    start_worker(JOB_LEASE_SECONDS="15")
    job = await ended(row_of, await ask("test.block"))
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
