"""Several containers of every role against one database and one Redis."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from app.core.database import create_engine, create_sessions
from app.services.jobs import enqueue
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.container.conftest import Make
from tests.container.harness import Container
from tests.servers import plain, wait_for
from tests.stack.jobs import Nap

pytestmark = pytest.mark.container

MANY = 5
NAPS = 8
SMALL = {
    "API_PROCESSES": "1",
    "WORKER_CONCURRENCY": "2",
    "DATABASE_POOL_SIZE": "2",
    "DATABASE_WORKER_POOL_SIZE": "2",
}


@pytest.fixture
def five(make: Make, empty_database: str) -> list[Container]:
    return [
        make("--hostname", f"host-{number}", DATABASE_URL=empty_database, **SMALL) for number in range(MANY)
    ]


@pytest.fixture
def database(empty_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(plain(empty_database), autocommit=True) as connection:
        yield connection


async def accept_naps(address: str, redis_url: str, folder: Path) -> None:
    engine = create_engine(make_settings(folder, address, redis_url).database)
    async with create_sessions(engine).begin() as session:
        for _ in range(NAPS):
            await enqueue(session, "test.nap", Nap(seconds=60), owner_id=OWNER)
    await engine.dispose()


async def test_five_at_once_migrate_once_fire_each_slot_once_and_carry_on_for_one_that_dies(
    five: list[Container],
    database: psycopg.Connection,
    redis_url: str,
    tmp_path: Path,
    figures: dict[str, str],
) -> None:
    with ThreadPoolExecutor(MANY) as pool:
        list(pool.map(Container.start, five))
    for container in five:
        container.wait_ready()
    upgrades = [text for container in five for text in container.messages() if "Running upgrade" in text]
    assert len(upgrades) == len(set(upgrades)) > 1, "each migration ran once in all"

    five[0].let_in()
    await accept_naps(five[0].environment["DATABASE_URL"], redis_url, tmp_path)
    counted = "SELECT count(*) FROM jobs WHERE kind = 'test.nap' AND state = 'running'"
    wait_for(lambda: _one(database, counted) > NAPS // 2, what="most jobs to run")
    running = "SELECT worker FROM jobs WHERE kind = 'test.nap' AND state = 'running' ORDER BY started_at DESC"
    (on,) = database.execute(running).fetchone() or ("",)
    victim = next(container for number, container in enumerate(five) if f"host-{number}" in on)
    lost = (
        "SELECT count(*) FROM jobs"
        " WHERE kind = 'test.nap' AND worker = %s AND attempt = 1 AND state <> 'succeeded'"
    )
    died = time.monotonic()
    victim.kill()
    wait_for(lambda: _one(database, lost, on) == 0, what="its jobs to go on in the others")
    figures["jobs of a killed container go on after"] = f"{time.monotonic() - died:.1f} s"

    done = "SELECT count(*) FROM jobs WHERE kind = 'test.nap' AND state = 'succeeded'"
    wait_for(lambda: _one(database, done) == NAPS, timeout=400, what="all jobs to succeed")
    _check_slots(database)
    others = [container for container in five if container is not victim]
    with ThreadPoolExecutor(MANY) as pool:
        assert [code for code, _ in pool.map(Container.stop, others)] == [0] * len(others)


def _check_slots(database: psycopg.Connection) -> None:
    """Each slot between the first and the last has fired, and asked for exactly one job."""
    slots = "SELECT count(*) FROM schedule_slots WHERE schedule = 'container.often'"
    wait_for(lambda: _one(database, slots) >= 5, what="several slots")
    missing = (
        "SELECT count(*) FROM (SELECT slot - lag(slot) OVER (ORDER BY slot) AS step FROM schedule_slots "
        "WHERE schedule = 'container.often') AS steps WHERE step <> interval '2 seconds'"
    )
    assert _one(database, missing) == 0
    asked = "SELECT count(*) FROM jobs WHERE kind = 'container.often'"
    apart = f"SELECT ({slots}) - ({asked})"
    assert _one(database, apart) == 0


def _one(database: psycopg.Connection, query: str, *values: str) -> int:
    row = database.execute(query, values).fetchone()
    assert row
    return int(row[0])
