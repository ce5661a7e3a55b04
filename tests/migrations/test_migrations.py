"""Migrations run once however many start together, go down as well as up, and match the models."""

import secrets
import subprocess
import sys
from pathlib import Path

import psycopg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from app.core import schema
from app.core.config import AppSettings
from app.core.revisions import head_revision
from app.models import Base
from app.services.users import SYSTEM_OWNER
from tests.configuration import PATIENT, SECRET_KEY
from tests.servers import beside, drop, plain, wait_for

SCRIPT = """
import os, sys, time
from pathlib import Path
from app.core.config import load_settings
from app.core.schema import migrate
print("ready", flush=True)
sys.stdin.readline()
print(migrate(load_settings(directory=Path("/nonexistent"))))
"""


def names(address: str) -> set[str]:
    with psycopg.connect(plain(address)) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_the_models_match_the_migrated_tables(unmigrated: AppSettings, empty_database: str) -> None:
    schema.migrate(unmigrated)
    engine = create_engine(empty_database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_constraints_of_the_models_match_the_migrated_tables(
    unmigrated: AppSettings, database_url: str, empty_database: str
) -> None:
    """Alembic compares neither check constraints nor the conditions of partial indexes."""
    schema.migrate(unmigrated)
    made = f"made_{secrets.token_hex(6)}"
    with psycopg.connect(plain(database_url), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{made}"')
        engine = create_engine(beside(database_url, made))
        Base.metadata.create_all(engine)
        engine.dispose()
        try:
            assert definitions(empty_database) == definitions(beside(database_url, made))
        finally:
            drop(admin, made)


def definitions(address: str) -> set[str]:
    with psycopg.connect(plain(address)) as connection:
        constraints = connection.execute(
            "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'"
        ).fetchall()
        indexes = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchall()
    return {row[0] for row in constraints + indexes}


def test_the_schema_goes_down_to_nothing_and_up_again(unmigrated: AppSettings, empty_database: str) -> None:
    schema.migrate(unmigrated)
    migrated = names(empty_database)
    schema.downgrade(unmigrated)
    assert names(empty_database) == {"alembic_version"}
    schema.migrate(unmigrated)
    assert names(empty_database) == migrated


def test_each_step_goes_down_alone(unmigrated: AppSettings, empty_database: str) -> None:
    schema.migrate(unmigrated)
    migrated = names(empty_database)
    schema.downgrade(unmigrated, "-1")
    schema.migrate(unmigrated, "+1")
    assert names(empty_database) == migrated


def test_nobody_but_the_system_has_an_account_and_nobody_can_use_that_one(
    unmigrated: AppSettings, empty_database: str
) -> None:
    schema.migrate(unmigrated)
    with psycopg.connect(plain(empty_database)) as connection:
        accounts = connection.execute("SELECT id, role, disabled_at IS NULL FROM users").fetchall()
    assert accounts == [(SYSTEM_OWNER, "service", False)]


def test_five_processes_migrate_at_once(
    unmigrated: AppSettings, empty_database: str, redis_url: str, tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": empty_database,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
        "STATE_DIR": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    } | PATIENT  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * 5
    assert answers == [head_revision()] * 5


def test_a_migration_waits_for_a_lock_that_a_query_holds(
    unmigrated: AppSettings, empty_database: str, redis_url: str, tmp_path: Path
) -> None:
    schema.migrate(unmigrated)
    schema.downgrade(unmigrated, "-1")
    with psycopg.connect(plain(empty_database)) as holder, psycopg.connect(plain(empty_database)) as observer:
        observer.autocommit = True
        holder.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        environment = {
            "DATABASE_URL": empty_database,
            "REDIS_URL": redis_url,
            "SECRET_KEY": SECRET_KEY,
            "STATE_DIR": str(tmp_path),
            "PATH": "/usr/bin:/bin",
        } | PATIENT  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: _waits(observer), what="the migration at the lock")
        holder.rollback()
        assert process.communicate(timeout=120)[0].split()[-1] == head_revision()


def _waits(observer: psycopg.Connection[tuple[object, ...]]) -> bool:
    return observer.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is not None


def test_alembic_finds_nothing_to_generate(unmigrated: AppSettings, empty_database: str) -> None:
    schema.migrate(unmigrated)
    engine = create_engine(empty_database)
    with engine.connect() as connection:
        command.check(schema.alembic_config(connection))
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    engine.dispose()
