"""Tasks, in a child's runtime that this process plays."""

import asyncio
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis as blocking

from app.celery_app import configuration, create_celery
from app.core import config
from app.core.config import AppSettings
from app.services.heartbeats import KEY
from app.services.jobs import enqueue
from app.services.unit_of_work import unit_of_work
from app.services.workspace import Workspace
from app.services.workspace.status import State, WorkspaceStatus
from app.workers import runtime
from app.workers.board import Board
from app.workers.runtime import Runtime
from app.workers.tasks import jobs
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.servers import plain, wait_for
from tests.serving import NOBODY
from tests.workers import kinds  # noqa: F401 - registers what is accepted here

NOTHING = dict.fromkeys(
    (
        *("jobs", "slots", "sessions", "api_keys", "idempotency_keys", "mail_addresses"),
        *("work", "exports", "uploads", "uploads_finished"),
    ),
    0,
)
"""What pruning says where there is nothing to prune."""


@pytest.fixture
def child(settings: AppSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """The runtime that tasks of this process work with."""
    child = Runtime(settings, create_celery(lambda: configuration(settings)), Board(1), 0)
    child.redis.flushdb()
    monkeypatch.setattr(runtime, "_runtime", child)
    # A task that is called looks at the configuration of the one Celery instance.
    monkeypatch.setitem(vars(config), "settings", settings)
    # Only processes that a job started would be killed; here there are a test's servers too, and the test.
    child.executor._kill_tools = lambda: None
    child.keeper._kill = lambda: None
    yield child
    runtime.close_runtime()


def accept(child: Runtime, kind: str = "test.context", **args: Any) -> uuid.UUID:
    async def accept() -> uuid.UUID:
        async with unit_of_work(child.sessions, child.doorbell) as session:
            return (await enqueue(session, kind, args, owner_id=OWNER)).id

    return child.run(accept())


def state(settings: AppSettings, job_id: uuid.UUID) -> str:
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as connection:
        row = connection.execute("SELECT state FROM jobs WHERE id = %s", (job_id,)).fetchone()
    assert row is not None
    return str(row[0])


def test_the_doorbell_runs_what_is_due(child: Runtime, settings: AppSettings) -> None:
    job_id = accept(child)
    jobs.doorbell("default")
    assert state(settings, job_id) == "succeeded"
    assert child.board.serving() == 0


def test_nothing_is_claimed_by_a_worker_that_drains(child: Runtime, settings: AppSettings) -> None:
    job_id = accept(child)
    child.board.drain()
    jobs.doorbell("default")
    assert state(settings, job_id) == "queued"


def test_the_signal_to_end_gives_the_job_back_first(child: Runtime, settings: AppSettings) -> None:
    job_id = accept(child, "test.wait")

    def strike() -> None:
        wait_for(lambda: state(settings, job_id) == "running", what="the start of the job")
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=strike)
    thread.start()
    jobs.doorbell("default")
    thread.join()
    assert state(settings, job_id) == "queued"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_tick_fires_what_is_due(child: Runtime, settings: AppSettings) -> None:
    jobs.tick()
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as connection:
        rows = connection.execute("SELECT kind FROM jobs ORDER BY kind").fetchall()
    assert ("maintenance.prune",) in rows
    jobs.doorbell("maintenance")
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as connection:
        row = connection.execute("SELECT state, result FROM jobs WHERE kind = 'maintenance.prune'").fetchone()
    assert row == (
        "succeeded",
        NOTHING,
    )


def test_pruning_goes_on_where_the_storage_is_away(
    child: Runtime, settings: AppSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(_workspace: Workspace, _seconds: float) -> int:
        raise PermissionError

    monkeypatch.setattr(Workspace, "remove_abandoned_work", remove)
    accept(child, "maintenance.prune")
    jobs.doorbell("maintenance")
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as connection:
        row = connection.execute("SELECT state, result FROM jobs").fetchone()
    assert row == ("succeeded", {name: count for name, count in NOTHING.items() if name != "work"})


def test_pruning_goes_on_until_nothing_old_is_left(child: Runtime, settings: AppSettings) -> None:
    with psycopg.connect(plain(settings.database.url.get_secret_value()), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO jobs (id, owner_id, kind, queue, args, state, finished_at)"
            " SELECT gen_random_uuid(), %s, 'old', 'default', '{}', 'failed', now() - interval '1 year'"
            " FROM generate_series(1, 7)",
            (OWNER,),
        )
        accept(child, "maintenance.prune", limit=3)
        jobs.doorbell("maintenance")
        row = connection.execute("SELECT result FROM jobs").fetchall()
    assert row == [(NOTHING | {"jobs": 7},)]


def test_kept_answers_are_pruned_when_their_time_is_over(child: Runtime, settings: AppSettings) -> None:
    with psycopg.connect(plain(settings.database.url.get_secret_value()), autocommit=True) as connection:
        for key, left in (("over", "-1 second"), ("good", "1 hour")):
            connection.execute(
                "INSERT INTO idempotency_keys (id, user_id, operation, key_hash, fingerprint, expires_at)"
                " VALUES (gen_random_uuid(), %s, 'POST /x', %s, '', now() + %s::interval)",
                (OWNER, key, left),
            )
        accept(child, "maintenance.prune")
        jobs.doorbell("maintenance")
        assert connection.execute("SELECT key_hash FROM idempotency_keys").fetchall() == [("good",)]


def test_sessions_that_ended_long_ago_are_pruned(child: Runtime, settings: AppSettings) -> None:
    with psycopg.connect(plain(settings.database.url.get_secret_value()), autocommit=True) as connection:
        connection.execute(
            "UPDATE sessions SET expires_at = now() - interval '31 days' WHERE user_id = %s", (OWNER,)
        )
        accept(child, "maintenance.prune")
        jobs.doorbell("maintenance")
        row = connection.execute("SELECT result->>'sessions' FROM jobs").fetchone()
    assert row == ("1",)


def test_storage_that_cannot_be_written_is_told_of(
    child: Runtime, settings: AppSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accept(child, "maintenance.check_storage")
    jobs.doorbell("maintenance")
    assert "storage_not_writable" not in caplog.messages
    monkeypatch.setattr(Workspace, "check", lambda _: WorkspaceStatus(State.FULL, 5))
    accept(child, "maintenance.check_storage")
    jobs.doorbell("maintenance")
    assert "storage_not_writable" in caplog.messages
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as connection:
        rows = connection.execute("SELECT result->>'state' FROM jobs ORDER BY id").fetchall()
    assert rows == [("writable",), ("full",)]


def test_a_pulse_touches_the_file_and_tells_redis(
    child: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTBEAT_FILE", str(tmp_path / "beat"))
    jobs.pulse()
    assert (tmp_path / "beat").exists()
    assert child.redis.zcard(KEY) == 1


def test_a_pulse_touches_the_file_without_redis_too(
    child: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise blocking.ConnectionError

    monkeypatch.setenv("HEARTBEAT_FILE", str(tmp_path / "beat"))
    monkeypatch.setattr(jobs, "write_heartbeat", broken)
    jobs.pulse()
    assert (tmp_path / "beat").exists()


def test_a_process_that_is_no_child_has_no_runtime() -> None:
    with pytest.raises(RuntimeError, match="no child"):
        runtime.current()


def test_a_child_opens_its_runtime_after_the_fork(
    settings: AppSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(config), "settings", settings)
    runtime.open_runtime()
    try:
        assert runtime.current().settings is settings
        assert runtime.current().run(asyncio.sleep(0, "ran")) == "ran"
    finally:
        runtime.close_runtime()


def test_without_a_database_a_message_is_over_in_one_line(
    child: Runtime,
    settings: AppSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = f"postgresql://nobody@{NOBODY}/nothing"
    away = make_settings(tmp_path, address, settings.redis.url.get_secret_value())
    lonely = Runtime(away, create_celery(lambda: configuration(away)), Board(1), 0)
    monkeypatch.setattr(runtime, "_runtime", lonely)
    jobs.doorbell("default")
    jobs.tick()
    lonely.close()
    monkeypatch.setattr(runtime, "_runtime", child)
    assert [record.message for record in caplog.records].count("database_away") == 2


def test_another_fault_of_a_message_is_not_hidden(child: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_queue: str, **_options: object) -> None:
        raise OSError("not of the database")

    monkeypatch.setattr(child.executor, "serve", broken)
    with pytest.raises(OSError, match="not of the database"):
        jobs.doorbell("default")
