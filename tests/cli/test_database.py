"""When a migration is tried again, what is told of it, and when it is given up."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import OperationalError

from app.cli import database
from app.cli.database import DatabaseAwayError, backoff, migrate_when_reachable, why
from app.cli.doctor import servers
from app.core.config import AppSettings
from app.core.database import is_unreachable
from app.core.schema import downgrade
from app.supervision.control import StackError
from tests.configuration import SECRET_KEY, make_settings
from tests.servers import beside, drop, plain, wait_for

AWAY = (
    *(errors.OperationalError, errors.ConnectionFailure, errors.TooManyConnections),
    *(errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow),
)
OURS = (
    *(errors.DiskFull, errors.OutOfMemory, errors.QueryCanceled, errors.DeadlockDetected),
    *(errors.InvalidPassword, errors.LockNotAvailable, errors.DatabaseDropped),
)

FULL = """
CREATE FUNCTION full_disk() RETURNS event_trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$;
CREATE EVENT TRIGGER full_disk ON ddl_command_start EXECUTE FUNCTION full_disk();
"""
ROOM = "DROP EVENT TRIGGER full_disk; DROP FUNCTION full_disk;"


def operational(kind: type[psycopg.Error], text: str = "") -> OperationalError:
    return OperationalError(None, None, kind(text))


def nowhere(folder: Path) -> AppSettings:
    return make_settings(folder, "postgresql://u:p@127.0.0.1:1/x", "redis://127.0.0.1:1")


@pytest.fixture
def behind(fresh_database: str, redis_url: str, tmp_path: Path) -> str:
    """A database that is one step behind, and whose disk is full when it is to be changed."""
    downgrade(make_settings(tmp_path, fresh_database, redis_url), "-1")
    with psycopg.connect(plain(fresh_database), autocommit=True) as connection:
        connection.execute(FULL)
    return fresh_database


def execute(address: str, statement: str) -> None:
    with psycopg.connect(plain(address), autocommit=True) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("kind", AWAY)
def test_a_connection_that_is_not_to_be_had_says_that_the_database_is_away(kind: type[psycopg.Error]) -> None:
    assert is_unreachable(operational(kind))


@pytest.mark.parametrize("kind", OURS)
def test_a_statement_that_fails_does_not(kind: type[psycopg.Error]) -> None:
    assert issubclass(kind, psycopg.OperationalError)
    assert not is_unreachable(operational(kind))


def test_attempts_come_less_often_with_time() -> None:
    assert list(islice(backoff(0.1, 1.0), 6)) == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_reason_is_one_line_without_passwords() -> None:
    error = operational(errors.OperationalError, "no:\n\tpostgresql://u:hunter2@h/d is away")
    assert why(error) == "no: postgresql://u:***@h/d is away"


def test_a_script_that_fails_is_no_database_that_is_away(behind: str, redis_url: str, tmp_path: Path) -> None:
    with pytest.raises(OperationalError) as caught:
        migrate_when_reachable(make_settings(tmp_path, behind, redis_url), timeout=30)
    assert isinstance(caught.value.orig, errors.DiskFull)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused_and_named(
    encoding: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    name = f"of_{encoding.lower()}_{secrets.token_hex(4)}"
    execute(database_url, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        settings = make_settings(tmp_path, beside(database_url, name), redis_url)
        with pytest.raises(
            StackError, match=f"{name} has the encoding {encoding}: only UTF8 .*CREATE DATABASE"
        ):
            migrate_when_reachable(settings, timeout=30)
        (fault,) = [found for found in asyncio.run(servers.database(settings)) if found.subject == "encoding"]
        assert encoding in fault.said
        assert "CREATE DATABASE" in fault.fix
    finally:
        with psycopg.connect(plain(database_url), autocommit=True) as admin:
            drop(admin, name)


def test_the_end_of_the_patience_says_why(tmp_path: Path) -> None:
    with pytest.raises(DatabaseAwayError, match="Connection refused") as caught:
        migrate_when_reachable(nowhere(tmp_path), timeout=0)
    assert "Connection refused" in caught.value.reason


def test_a_stack_that_ended_needs_no_migration(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="the stack ended"):
        migrate_when_reachable(nowhere(tmp_path), alive=lambda: False)


def test_each_reason_is_told_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts = iter(["refused", "refused", "starting", "starting", "refused"])

    def migrate(_settings: AppSettings) -> str:
        if text := next(texts, None):
            raise operational(errors.OperationalError, text)
        raise StackError("enough")

    monkeypatch.setattr(database, "QUIET_SECONDS", -1.0)
    monkeypatch.setattr(database, "migrate_schema", migrate)
    monkeypatch.setattr(database, "backoff", lambda *_: iter([0.0] * 9))
    told: list[str] = []
    with pytest.raises(StackError, match="enough"):
        migrate_when_reachable(nowhere(tmp_path), told=told.append)
    assert told == ["refused", "starting", "refused"]


@contextmanager
def migrating(folder: Path, *options: str, **values: str) -> Iterator[subprocess.Popen[bytes]]:
    """``holdfast migrate --quiet``, whose lines are in the file ``log``."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    given = {"APP_ENV": "testing", "STATE_DIR": str(folder), "SECRET_KEY": SECRET_KEY}
    command = [sys.executable, "-m", "app.cli", "migrate", "--quiet", *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=kept | given | values, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(folder: Path, message: str) -> list[dict[str, Any]]:
    """The lines of an event that are written to their end."""
    lines = [json.loads(line) for line in (folder / "log").read_text().rpartition("\n")[0].splitlines()]
    return [line for line in lines if line["message"] == message]


def test_beside_a_stack_a_migration_that_failed_is_tried_again(
    behind: str, redis_url: str, tmp_path: Path
) -> None:
    with migrating(tmp_path, "--beside", DATABASE_URL=behind, REDIS_URL=redis_url) as process:
        wait_for(lambda: said(tmp_path, "migration_failed"), what="the failure")
        execute(behind, ROOM)
        assert process.wait(60) == 0
    failed = said(tmp_path, "migration_failed")[0]
    assert (failed["level"], failed["retry_in_seconds"]) == ("ERROR", 1.0)
    assert "DiskFull" in failed["exc_info"]
    assert said(tmp_path, "schema_up_to_date")


def test_alone_a_migration_that_fails_is_over(behind: str, redis_url: str, tmp_path: Path) -> None:
    with migrating(tmp_path, DATABASE_URL=behind, REDIS_URL=redis_url) as process:
        assert process.wait(60) == 1
    assert ["retry_in_seconds" in line for line in said(tmp_path, "migration_failed")] == [False]


@pytest.mark.parametrize("later", [False, True], ids=["while it migrates", "while it waits"])
def test_a_migration_beside_a_stack_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, behind: str, redis_url: str, tmp_path: Path, *, later: bool
) -> None:
    parents = iter([1, 1, 1, 2] if later else [1, 1, 2])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(database, "backoff", lambda *_: iter([0.0] * 9))
    with pytest.raises(StackError, match="the stack ended"):
        database.migrate_beside(make_settings(tmp_path, behind, redis_url))
