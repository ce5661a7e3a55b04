"""``holdfast run``, as a container starts it: every line is JSON, and the exit code says what was wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.configuration import SECRET_KEY
from tests.servers import own_port, plain, state_folder, wait_for

NOWHERE = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with state_folder() as folder:
        yield folder


class Run:
    """One run of it, and what it writes."""

    def __init__(self, folder: Path, values: dict[str, str]) -> None:
        self._log = folder / "log"
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
        given = {
            "APP_ENV": "testing",
            "STATE_DIR": str(folder),
            "PORT": str(own_port()),
            "SECRET_KEY": SECRET_KEY,
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "run"], env=kept | given | values, stdout=log, stderr=log
            )

    def lines(self) -> list[dict[str, Any]]:
        """Those that it has ended."""
        return [json.loads(line) for line in self._log.read_text().rpartition("\n")[0].splitlines()]

    def says(self, message: str) -> None:
        wait_for(lambda: message in [line["message"] for line in self.lines()], what=message)


@contextmanager
def running(folder: Path, **values: str) -> Iterator[Run]:
    run = Run(folder, values)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.terminate()
        run.process.wait(60)


def test_a_faulty_configuration_is_a_line_a_fault_and_nothing_is_embedded_or_generated(folder: Path) -> None:
    with running(folder, LOG_LEVEL="loud", SECRET_KEY="") as run:
        assert run.process.wait(60) == 78
    faults = {line["variable"]: line["problem"] for line in run.lines()}
    assert set(faults) == {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "LOG_LEVEL"}
    assert faults["DATABASE_URL"] == "is missing"
    assert list((folder / "secrets").iterdir()) == []


def test_a_state_folder_that_cannot_be_used_is_told(folder: Path) -> None:
    (folder / "file").touch()
    with running(folder, STATE_DIR=str(folder / "file"), **NOWHERE) as run:
        assert run.process.wait(60) == 1
    (line,) = run.lines()
    assert (line["message"], line["level"]) == ("start_failed", "CRITICAL")
    assert "choose another with STATE_DIR" in line["reason"]


def test_a_migration_that_fails_ends_it_with_its_reason(
    folder: Path, fresh_database: str, redis_url: str
) -> None:
    with psycopg.connect(plain(fresh_database), autocommit=True) as database:
        database.execute("DROP TABLE alembic_version")
    with running(folder, DATABASE_URL=fresh_database, REDIS_URL=redis_url) as run:
        assert run.process.wait(60) == 1
    last = run.lines()[-1]
    assert last["message"] == "start_failed"
    assert "already exists" in last["exc_info"]


def test_why_a_database_is_away_is_told_while_it_is_waited_for(folder: Path) -> None:
    with running(folder, **NOWHERE) as run:
        run.says("database_away")
    (line,) = [line for line in run.lines() if line["message"] == "database_away"]
    assert line["level"] == "WARNING"
    assert "Connection refused" in line["reason"]


def test_a_stop_while_it_waits_for_its_database_is_heard(folder: Path) -> None:
    with running(folder, **NOWHERE) as run:
        run.says("container_starts")
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(60) == 0
    assert run.lines()[-1]["message"] == "stopped_before_start"


def test_it_migrates_and_becomes_supervisord_of_its_role(
    folder: Path, fresh_database: str, redis_url: str
) -> None:
    with running(folder, ROLE="beat", DATABASE_URL=fresh_database, REDIS_URL=redis_url) as run:
        run.says("supervision begins")
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(60) == 0
    assert {line["process"] for line in run.lines() if line["logger"] == "supervisord"} == {run.process.pid}
    messages = [line["message"] for line in run.lines()]
    assert messages.index("schema_up_to_date") < messages.index("supervision begins")
    assert messages[-1] == "supervision ends"
