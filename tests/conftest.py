"""Fixtures: real servers once a run, and a fresh, migrated database of its own for each test that asks."""

import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import hypothesis
import psycopg
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.config import AppSettings, known_names
from app.core.database import Sessions, create_engine, create_sessions
from app.core.limits import Counters
from app.core.redis import create_redis
from app.core.schema import migrate
from app.main import create_app
from app.services import publisher
from app.services.health import checks, probes
from app.services.jobs import doorbell
from tests.accounts import ADMIN, OTHER, bearer, seed
from tests.configuration import make_settings
from tests.servers import DEADLINE, beside, drop, plain, postgres_server, redis_server, state_folder, wait_for

pytest_plugins = ["tests.samples", "tests.buckets"]

hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# An example that takes long says something of the machine alone.
hypothesis.settings.load_profile("busy")

FORGETFUL = ("fsync", "full_page_writes", "synchronous_commit")
"""What guards a PostgreSQL against a power cut; that of a test run ends with it, and makes many databases."""


def pytest_configure() -> None:
    """Forget the settings of this shell or container: tests and what they start are given theirs."""
    for name in known_names():
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def patient_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that takes its time on a busy machine is not away; who tests that says how long it may take."""
    monkeypatch.setattr(checks, "PATIENCE", DEADLINE)
    monkeypatch.setattr(probes, "PATIENCE", DEADLINE)
    # What was given up for lack of patience would arrive in the next test.
    monkeypatch.setattr(publisher, "TIMEOUT", int(DEADLINE))
    monkeypatch.setattr(doorbell, "TIMEOUT", DEADLINE)


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits count at one moment: a window that ended in the middle of a test would have it count in two."""
    moment = time.time()
    monkeypatch.setattr(Counters.__init__, "__kwdefaults__", {"clock": lambda: moment})


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    with state_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def database_url(servers_folder: Path) -> Iterator[str]:
    """The address of a PostgreSQL whose account may create databases."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    server = postgres_server(servers_folder)
    server.start()
    try:
        with psycopg.connect(plain(server.address), autocommit=True) as admin:
            for setting in FORGETFUL:
                admin.execute(f"ALTER SYSTEM SET {setting} = off")
            admin.execute("SELECT pg_reload_conf()")
        yield server.address
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_url(servers_folder: Path) -> Iterator[str]:
    """The address of a Redis that tests may empty."""
    if given := os.environ.get("TEST_REDIS_URL"):
        yield given
        return
    server = redis_server(servers_folder)
    server.start()
    yield server.address
    server.stop()


@pytest.fixture(scope="session")
def template_database(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The name of a migrated database that each test's own is copied from."""
    name = f"template_{secrets.token_hex(4)}"
    with psycopg.connect(plain(database_url), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        settings = make_settings(tmp_path_factory.mktemp("template"), beside(database_url, name), redis_url)
        migrate(settings)
        with psycopg.connect(plain(beside(database_url, name)), autocommit=True) as connection:
            seed(connection)
        in_it = "SELECT FROM pg_stat_activity WHERE datname = %s"
        wait_for(lambda: admin.execute(in_it, [name]).fetchone() is None, what="a template that nobody uses")
        yield name
        drop(admin, name)


@pytest.fixture
def fresh_database(database_url: str, template_database: str) -> Iterator[str]:
    """The address of a migrated, empty database that only this test sees."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(plain(database_url), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template_database}"')
        yield beside(database_url, name)
        drop(admin, name)


@pytest.fixture
def settings(fresh_database: str, redis_url: str, tmp_path: Path) -> AppSettings:
    built = make_settings(tmp_path, fresh_database, redis_url)
    built.run_dir.mkdir(mode=0o700, exist_ok=True)
    built.workspace_root.mkdir(exist_ok=True)
    return built


@pytest.fixture
async def engine(settings: AppSettings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(settings.database)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    """A factory of sessions that commit for real, in this test's own database."""
    return create_sessions(engine)


@pytest.fixture
async def session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """A session that is rolled back."""
    async with sessions() as session:
        yield session
        await session.rollback()


@pytest.fixture
async def redis(settings: AppSettings) -> AsyncIterator[Redis]:
    """A client of an emptied Redis."""
    client = create_redis(settings.redis)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def app(settings: AppSettings) -> AsyncIterator[FastAPI]:
    """The application inside its lifespan."""
    app = create_app(settings)
    async with LifespanManager(app, startup_timeout=DEADLINE, shutdown_timeout=DEADLINE) as manager:
        app.state.asgi = manager.app
        yield app


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a credential, straight into the application."""
    async with _client(app) as client:
        yield client


@pytest.fixture
async def client(app: FastAPI, settings: AppSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an access token of OWNER, straight into the application."""
    async with _client(app, bearer(settings)) as client:
        yield client


@pytest.fixture
async def other_client(app: FastAPI, settings: AppSettings) -> AsyncIterator[httpx.AsyncClient]:
    """The same for OTHER."""
    async with _client(app, bearer(settings, OTHER)) as client:
        yield client


@pytest.fixture
async def admin_client(app: FastAPI, settings: AppSettings) -> AsyncIterator[httpx.AsyncClient]:
    """The same for ADMIN."""
    async with _client(app, bearer(settings, ADMIN)) as client:
        yield client


def _client(app: FastAPI, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app.state.asgi, client=("127.0.0.1", 50000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)
