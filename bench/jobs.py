"""Durable jobs a second against plain ``delay()`` on the same worker; both do nothing.

Each round fills the queue first and then starts a worker: only the running is measured. Rounds alternate.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import redis
from sqlalchemy import create_engine, text

from app.celery_app import configuration, create_celery, direct_queue
from app.core.config import AppSettings
from app.core.database import create_engine as create_async
from app.core.database import create_sessions, transaction
from app.core.schema import migrate
from app.services.jobs import enqueue
from app.services.users import SYSTEM_OWNER
from bench._kinds import TIMES
from tests.configuration import make_settings
from tests.servers import postgres_server, redis_server, state_folder, wait_for
from tests.workers.processes import CeleryProcess, environment

JOBS = 3000
ROUNDS = 3


def worker(folder: Path, settings: AppSettings) -> CeleryProcess:
    arguments = ["-A", "app.celery_app", "worker", "--hostname=bench@%h", "--include=bench._kinds"]
    arguments += ["--without-gossip", "--without-mingle"]
    # As it is deployed: the tests' short leases would cost more.
    values = environment(settings, JOB_LEASE_SECONDS="12", JOB_SWEEP_SECONDS="4", LOG_LEVEL="INFO")
    return CeleryProcess(folder, "bench", arguments, values)


async def accept(settings: AppSettings) -> None:
    engine = create_async(settings.database)
    async with transaction(create_sessions(engine)) as session:
        for _ in range(JOBS):
            await enqueue(session, "bench.nothing", {}, owner_id=SYSTEM_OWNER)
    await engine.dispose()


def durable(settings: AppSettings, folder: Path) -> float:
    """Durable jobs a second, by the times in their rows."""
    engine = create_engine(settings.database.url.get_secret_value())
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE jobs CASCADE"))
    asyncio.run(accept(settings))
    process = worker(folder, settings).start()

    def ended() -> int:
        with engine.begin() as connection:
            query = text("SELECT count(*) FROM jobs WHERE state = 'succeeded'")
            return int(connection.execute(query).scalar_one())

    wait_for(lambda: ended() == JOBS, timeout=300)
    process.kill()
    with engine.begin() as connection:
        query = text("SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM jobs")
        seconds = float(connection.execute(query).scalar_one())
    engine.dispose()
    return JOBS / seconds


def plain(settings: AppSettings, folder: Path) -> float:
    """Plain tasks a second, by the times that they note."""
    client = redis.Redis.from_url(settings.redis.url.get_secret_value())
    client.flushall()
    celery = create_celery(lambda: configuration(settings))
    with celery.producer_pool.acquire() as producer:
        for _ in range(JOBS):
            celery.send_task("bench.plain", queue=direct_queue("default"), producer=producer)
    process = worker(folder, settings).start()
    wait_for(lambda: client.llen(TIMES) == JOBS, timeout=300)
    process.kill()
    times = sorted(float(moment) for moment in client.lrange(TIMES, 0, -1))
    client.close()
    return JOBS / (times[-1] - times[0])


def median(rounds: list[float]) -> float:
    return statistics.median(rounds)


def main() -> None:
    with state_folder() as state, tempfile.TemporaryDirectory() as folder:
        database, broker = postgres_server(state), redis_server(state)
        database.start()
        broker.start()
        try:
            settings = make_settings(Path(folder), database.address, broker.address)
            migrate(settings)
            figures: dict[str, list[float]] = {"durable jobs": [], "plain delay()": []}
            measures: list[Callable[[AppSettings, Path], float]] = [durable, plain]
            for _ in range(ROUNDS):
                for name, measure in zip(figures, measures, strict=True):
                    figures[name].append(measure(settings, Path(folder)))
        finally:
            broker.kill()
            database.stop()
    for name, rounds in figures.items():
        print(f"{name:<15} {median(rounds):8.0f} a second   ({', '.join(f'{r:.0f}' for r in rounds)})")
    ratio = median(figures["durable jobs"]) / median(figures["plain delay()"])
    print(f"durable / plain {ratio:8.2f}   two children, {JOBS} jobs a round")
