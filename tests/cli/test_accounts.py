"""``create-admin``, the administrator of a first start, and what ``doctor`` says of accounts."""

import asyncio
import json
import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.cli.accounts import HOW, first_admin, first_admin_or_hint, has_admin
from app.cli.stack import _prepare
from app.cli.startup import Plan
from app.core import schema
from app.core.config import AppSettings
from app.services.auth.passwords import Passwords
from app.services.users import BUILT_IN_OWNER
from app.supervision.control import StackError
from app.supervision.state import State
from tests.accounts import ADMIN, EMAILS, OWNER, SERVICE
from tests.configuration import PATIENT, SECRET_KEY, make_settings
from tests.servers import beside, plain

EMAIL = "boss@example.org"
FILE = uuid.UUID("01900000-0000-7000-8000-0000000000f1")
WORK = uuid.UUID("01900000-0000-7000-8000-0000000000f2")


def holdfast(settings: AppSettings, *arguments: str, given: str = "", **values: str) -> Result:
    environment = {
        "APP_ENV": "testing",
        "STATE_DIR": str(settings.state_dir),
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "REDIS_URL": settings.redis.url.get_secret_value(),
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_POOL_SIZE": "5",
    }
    return CliRunner().invoke(cli, arguments, input=given, env=environment | PATIENT | values)


def create_admin(settings: AppSettings, *arguments: str, given: str = "") -> dict[str, Any]:
    done = holdfast(settings, "create-admin", *arguments, "--json", given=given)
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def row(settings: AppSettings, columns: str, email: str = EMAIL) -> tuple[Any, ...]:
    return query(settings, f"SELECT {columns} FROM users WHERE email = %s", email)[0]  # noqa: S608 - a test's own


def query(settings: AppSettings, statement: str, *values: object) -> list[tuple[Any, ...]]:
    address = plain(settings.database.url.get_secret_value())
    with psycopg.connect(address, autocommit=True) as connection:
        done = connection.execute(statement.encode(), values)
        return done.fetchall() if done.description else []


def fits(settings: AppSettings, password: str, stored: str) -> bool:
    return asyncio.run(Passwords(settings.auth).verify(password, stored))[0]


@pytest.fixture
def nobody(settings: AppSettings) -> AppSettings:
    """A migrated database without an administrator."""
    query(settings, "DELETE FROM users WHERE id = %s", ADMIN)
    return settings


@pytest.fixture
def unmigrated(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[AppSettings]:
    name = f"empty_{secrets.token_hex(6)}"
    with psycopg.connect(plain(database_url), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        yield make_settings(tmp_path, beside(database_url, name), redis_url)
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_a_new_administrator_has_a_one_time_password(settings: AppSettings) -> None:
    told = create_admin(settings, "Boss@Example.org", "--name", "Boss")
    columns = "role, name, password_change_required, email_verified_at IS NOT NULL"
    assert row(settings, columns) == ("admin", "Boss", True, True)
    assert (told["email"], told["promoted"]) == (EMAIL, False)
    assert fits(settings, told["one_time_password"], row(settings, "password_hash")[0])


def test_a_person_is_shown_the_password_once(settings: AppSettings) -> None:
    done = holdfast(settings, "create-admin", EMAIL)
    assert done.exit_code == 0
    shown = done.stdout.split("One-time password: ")[1].split()[0]
    assert fits(settings, shown, row(settings, "password_hash")[0])
    logged = query(settings, "SELECT string_agg(a::text, '') FROM audit_log a")[0][0]
    assert "account.created" in logged
    assert shown not in logged


def test_without_an_address_it_is_that_of_the_settings(settings: AppSettings) -> None:
    assert create_admin(settings)["email"] == settings.auth.first_admin_email


def test_a_password_of_ones_own_needs_no_change(settings: AppSettings) -> None:
    told = create_admin(settings, EMAIL, "--password-stdin", given="correct horse battery\n")
    assert told["one_time_password"] is None
    stored, required = row(settings, "password_hash, password_change_required")
    assert not required
    assert fits(settings, "correct horse battery", stored)


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (["nobody"], "", "'nobody' is no e-mail address"),
        ([EMAILS[ADMIN]], "", "admin@example.com is an administrator already."),
        ([EMAILS[SERVICE]], "", "is a service account"),
        ([EMAIL, "--name", "a\0b"], "", "cannot be stored"),
        ([EMAIL, "--password-stdin"], "password123\n", "the password is not accepted"),
        ([EMAIL, "--password-stdin"], "", "the password is not accepted"),
    ],
)
def test_what_cannot_be_is_told(settings: AppSettings, arguments: list[str], given: str, said: str) -> None:
    done = holdfast(settings, "create-admin", *arguments, given=given)
    assert isinstance(done.exception, StackError)
    assert said in str(done.exception)
    assert query(settings, "SELECT count(*) FROM users WHERE role = 'admin'") == [(1,)]


def test_a_database_that_is_away_is_told(settings: AppSettings) -> None:
    done = holdfast(settings, "create-admin", EMAIL, DATABASE_URL="postgresql://u:p@127.0.0.1:1/x")
    assert "PostgreSQL does not answer" in str(done.exception)


@pytest.mark.parametrize("revision", [None, "0003"])
def test_a_database_that_is_not_migrated_is_told(unmigrated: AppSettings, revision: str | None) -> None:
    if revision:
        schema.migrate(unmigrated, revision)
    assert "holdfast migrate" in str(holdfast(unmigrated, "create-admin", EMAIL).exception)
    found = holdfast(unmigrated, "doctor", "--json")
    faults = {finding["subject"]: finding for finding in json.loads(found.stdout) if not finding["ok"]}
    assert faults["database"]["said"] == "is not migrated"


def test_a_first_start_makes_an_administrator_and_a_second_none(nobody: AppSettings) -> None:
    assert not has_admin(nobody)
    made = first_admin(nobody)
    assert made is not None
    assert made.user.email == nobody.auth.first_admin_email
    assert fits(nobody, str(made.one_time_password), str(made.user.password_hash))
    assert has_admin(nobody)
    assert first_admin(nobody) is None


def test_a_first_start_promotes_nobody_who_registered_with_its_address(
    nobody: AppSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    query(nobody, "UPDATE users SET email = %s WHERE id = %s", nobody.auth.first_admin_email, OWNER)
    assert first_admin_or_hint(nobody) is None
    assert row(nobody, "role", nobody.auth.first_admin_email) == ("user",)
    said = capsys.readouterr().err
    assert "Another account has the address" in said
    assert "holdfast create-admin EMAIL" in said


@pytest.fixture
def before_accounts(unmigrated: AppSettings) -> AppSettings:
    """A database of the version before, in which the built-in owner has a file and a job."""
    schema.migrate(unmigrated, "0003")
    query(
        unmigrated,
        "INSERT INTO jobs (id, owner_id, kind, queue, args) VALUES (%s, %s, 'k', 'default', '{}')",
        WORK,
        BUILT_IN_OWNER,
    )
    query(
        unmigrated,
        "INSERT INTO media_files (id, owner_id, name, size, sha256, mime_type, kind) "
        "VALUES (%s, %s, 'n', 1, 'a', 'video/mp4', 'video')",
        FILE,
        BUILT_IN_OWNER,
    )
    schema.migrate(unmigrated)
    return unmigrated


@pytest.mark.parametrize("by_command", [True, False])
def test_the_first_administrator_takes_over_what_was_there_before_accounts(
    before_accounts: AppSettings, by_command: bool
) -> None:
    assert query(before_accounts, "SELECT disabled_at IS NULL FROM users WHERE id = %s", BUILT_IN_OWNER) == [
        (False,)
    ]
    email = EMAIL if by_command else before_accounts.auth.first_admin_email
    if by_command:
        create_admin(before_accounts, EMAIL)
    else:
        assert first_admin(before_accounts) is not None
    (admin,) = row(before_accounts, "id", email)
    assert query(before_accounts, "SELECT id, owner_id FROM media_files") == [(FILE, admin)]
    assert query(before_accounts, "SELECT id, owner_id FROM jobs") == [(WORK, admin)]
    assert query(before_accounts, "SELECT id FROM users WHERE id = %s", BUILT_IN_OWNER) == []


def test_a_second_administrator_takes_nothing_over(before_accounts: AppSettings) -> None:
    create_admin(before_accounts, EMAIL)
    create_admin(before_accounts, "second@example.org")
    (first,) = row(before_accounts, "id")
    assert query(before_accounts, "SELECT owner_id FROM media_files") == [(first,)]


def doctor(settings: AppSettings, **values: str) -> dict[str, dict[str, Any]]:
    found = holdfast(settings, "doctor", "--json", **values)
    return {finding["subject"]: finding for finding in json.loads(found.stdout)}


def test_doctor_tells_where_nobody_administrates(nobody: AppSettings) -> None:
    finding = doctor(nobody)["administrator"]
    assert not finding["ok"]
    assert "holdfast create-admin EMAIL" in finding["fix"]
    create_admin(nobody, EMAIL)
    assert doctor(nobody)["administrator"]["ok"]


def test_doctor_tells_what_production_refuses_without_a_mail_server(settings: AppSettings) -> None:
    assert "mail" not in doctor(settings)
    strict = {"APP_ENV": "production", "REDIS_URL": "redis://:4f1c9a77e0b2d853@127.0.0.1:1/0"}
    told = doctor(settings, **strict)
    assert "registration and password reset are refused" in told["mail"]["said"]
    assert "mail" not in doctor(settings, **strict, SMTP_HOST="mail.example.org", EMAIL_FROM="a@example.org")


def test_doctor_reminds_of_a_key_that_is_to_go(settings: AppSettings) -> None:
    assert "SECRET_KEY_PREVIOUS" not in doctor(settings)
    told = doctor(settings, SECRET_KEY_PREVIOUS="3b9f60c1d28e47a53b9f60c1d28e47a5tests", SESSION_DAYS="7")
    assert "remove it 7 days after the change" in told["SECRET_KEY_PREVIOUS"]["said"]
    assert told["SECRET_KEY_PREVIOUS"]["ok"]


def test_a_log_is_told_how_to_make_an_administrator_and_none_is_made(
    nobody: AppSettings, capfd: pytest.CaptureFixture[str]
) -> None:
    assert holdfast(nobody, "migrate", "--quiet").exit_code == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    hints = [line["hint"] for line in lines if line["message"] == "no_administrator"]
    assert hints == [HOW]
    assert not has_admin(nobody)


@pytest.mark.parametrize("terminal", [True, False])
def test_what_stays_shows_a_one_time_password_to_a_terminal_only(
    nobody: AppSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    plan = Plan(nobody, State.chosen({"STATE_DIR": str(nobody.state_dir)}), ())
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as process:
        _prepare(plan, process)
        process.communicate("")
    said = capsys.readouterr()
    assert ("One-time password" in said.out) is terminal
    assert has_admin(nobody) is terminal
    assert ("There is no administrator" in said.err) is not terminal


def test_a_log_is_silent_where_somebody_administrates(
    settings: AppSettings, capfd: pytest.CaptureFixture[str]
) -> None:
    assert holdfast(settings, "migrate", "--quiet").exit_code == 0
    said = capfd.readouterr().out
    assert "schema_up_to_date" in said
    assert "no_administrator" not in said
