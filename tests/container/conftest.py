"""One container for what leaves it standing, others for what ends them, and the figures that were seen."""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis as blocking

import tests.stack.jobs
from tests.configuration import SECRET_KEY
from tests.container.harness import Container, containers, is_of_nix, unavailable
from tests.servers import beside, drop, plain

FIGURES: dict[str, str] = {}
"""What is printed at the end of the run: name and value with its unit."""

MODULES = {"naps": Path(tests.stack.jobs.__file__), "often": Path(__file__).with_name("often.py")}
"""Kinds of jobs that containers of tests know beside their own."""

Make = Callable[..., Container]


LONGEST = 900
"""Seconds that one test may take: engines start, build and stop things for most of it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder their time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(LONGEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        terminalreporter.section("figures of the container")
        for name, value in FIGURES.items():
            terminalreporter.write_line(f"{name:<55} {value}")


@pytest.fixture(scope="session", autouse=True)
def engine_and_image() -> None:
    if reason := unavailable():
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def kind_of_image(request: pytest.FixtureRequest) -> None:
    """Pass over what holds of one kind of image alone; the mark says why."""
    mark = request.node.get_closest_marker("dockerfile")
    if mark is not None and is_of_nix():
        pytest.skip(f"of the Dockerfile's image only: {mark.args[0]}")


@pytest.fixture
def figures() -> dict[str, str]:
    return FIGURES


@pytest.fixture(scope="module")
def empty_database(database_url: str) -> Iterator[str]:
    """The address of a database without any table, this module's own."""
    name = f"container_{secrets.token_hex(4)}"
    with psycopg.connect(plain(database_url), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        yield beside(database_url, name)
        drop(admin, name)


@pytest.fixture
def make(fresh_database: str, redis_url: str) -> Iterator[Make]:
    """Makes containers on this test's own migrated database and an emptied Redis."""
    with blocking.Redis.from_url(redis_url) as client:
        client.flushdb()
    with containers() as made:

        def build(*options: str, **values: str) -> Container:
            addresses = {"DATABASE_URL": fresh_database, "REDIS_URL": redis_url}
            modules = {"JOB_MODULES": ",".join(MODULES), "PYTHONPATH": "/jobs"}
            mounted = [
                word for name, file in MODULES.items() for word in ("--volume", f"{file}:/jobs/{name}.py:ro")
            ]
            made.append(Container(addresses | modules | values, *mounted, *options))
            return made[-1]

        yield build


@pytest.fixture(scope="module")
def shared(
    empty_database: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """A container as an operator runs it: confined, its secrets in files, on a database that was empty."""
    folder = tmp_path_factory.mktemp("secrets")
    folder.chmod(0o755)
    given = {"DATABASE_URL": empty_database, "REDIS_URL": redis_url, "SECRET_KEY": SECRET_KEY}
    for name, value in given.items():
        (folder / name).write_text(f"{value}\n")
        (folder / name).chmod(0o644)
    with containers() as made:
        container = Container(
            given,
            *("--volume", f"{folder}:/run/secrets:ro", "--health-interval", "1s", "--health-retries", "60"),
            hidden=frozenset(given),
        )
        made.append(container)
        begin = time.monotonic()
        container.start()
        container.wait_ready()
        FIGURES["start to ready, on an empty database"] = f"{time.monotonic() - begin:.1f} s"
        container.let_in()
        yield container
