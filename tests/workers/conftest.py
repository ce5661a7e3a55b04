"""A ledger that jobs write their effects into, and real workers that end with the test."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import celery_app
from app.celery_app import configuration, create_celery
from app.core.config import AppSettings
from app.core.database import Sessions
from app.models.job import Job
from app.services.jobs import Doorbell, enqueue
from app.services.unit_of_work import unit_of_work
from app.workers import blocking, broker, execution, slots
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.servers import DEADLINE
from tests.workers import kinds
from tests.workers.child import Child
from tests.workers.kinds import LEDGER
from tests.workers.processes import CeleryProcess, end, worker

Ledger = Callable[[], Awaitable[list[str]]]
Ask = Callable[..., Awaitable[uuid.UUID]]
RowOf = Callable[[uuid.UUID], Awaitable[Job]]
StartWorker = Callable[..., CeleryProcess]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is slow to answer is none that is away, and a slow job leaves time for the next."""
    for module in (blocking, slots):
        monkeypatch.setattr(module, "TIMEOUT", int(DEADLINE))
    monkeypatch.setattr(broker, "BROKER_TIMEOUT", DEADLINE)
    for name in ("_BROKER_TIMEOUT", "_CONNECT_TIMEOUT"):
        monkeypatch.setattr(celery_app, name, DEADLINE)
    monkeypatch.setattr(execution, "SERVE_SECONDS", DEADLINE)


@pytest.fixture
async def ledger(sessions: Sessions) -> Ledger:
    """The effects of jobs so far, in order."""
    async with sessions() as session, session.begin():
        await session.execute(text(LEDGER))

    async def words() -> list[str]:
        async with sessions() as session:
            rows = await session.execute(text("SELECT word FROM ledger ORDER BY id"))
            return list(rows.scalars())

    return words


@pytest.fixture
async def ask(settings: AppSettings, sessions: Sessions) -> AsyncIterator[Ask]:
    """Accept a job as a request does, and ring."""
    bell = Doorbell(create_celery(lambda: configuration(settings)))

    async def ask(kind: str, **args: Any) -> uuid.UUID:
        async with unit_of_work(sessions, bell) as session:
            return (await enqueue(session, kind, args, owner_id=OWNER)).id

    yield ask
    await bell.aclose()


@pytest.fixture
def row_of(sessions: Sessions) -> RowOf:
    """A job's row as it is now."""

    async def row_of(job_id: uuid.UUID) -> Job:
        async with sessions() as session:
            return await session.get_one(Job, job_id)

    return row_of


@pytest.fixture
def start_worker(settings: AppSettings, tmp_path: Path) -> Iterator[StartWorker]:
    """Start real workers; they end with the test, and what they said is shown where it fails."""
    started: list[CeleryProcess] = []

    def start(
        name: str = "worker", of: AppSettings = settings, app: str = "app.celery_app", **values: str
    ) -> CeleryProcess:
        started.append(worker(tmp_path, of, name, app, **values))
        return started[-1].start()

    yield start
    end(started)


@pytest.fixture
def lease() -> float:
    """Seconds, more than a busy machine pauses; tests of the renewal have one that is due sooner."""
    return 120.0


@pytest.fixture
def leased(settings: AppSettings, tmp_path: Path, lease: float) -> AppSettings:
    """Settings with a lease of so many seconds, and a long patience with cancelled jobs."""
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    return make_settings(tmp_path, database, redis, JOB_LEASE_SECONDS=str(lease), JOB_CANCEL_GRACE="120")


@pytest.fixture
async def child(leased: AppSettings, engine: AsyncEngine, sessions: Sessions) -> AsyncIterator[Child]:
    """A worker's child in this process; its stubborn jobs end with the test."""
    kinds.RELEASED.clear()
    child = Child(leased, engine, sessions)
    yield child
    kinds.RELEASED.set()
    child.keeper.close()
    await child.doorbell.aclose()
