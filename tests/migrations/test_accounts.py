"""0004: what becomes of the built-in owner, up and down."""

from collections.abc import Callable
from typing import LiteralString

import psycopg
import pytest

from app.core import schema
from app.core.config import AppSettings
from tests.servers import plain

BUILT_IN_OWNER = "00000000-0000-7000-8000-000000000001"


def ask(settings: AppSettings, query: LiteralString, *given: str) -> list[tuple[object, ...]]:
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as connection:
        return connection.execute(query, given).fetchall()


def change(settings: AppSettings, statement: LiteralString, *given: str) -> None:
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as connection:
        connection.execute(statement, given)


@pytest.fixture
def before(unmigrated: AppSettings) -> AppSettings:
    schema.migrate(unmigrated, "0003")
    return unmigrated


def add_media(settings: AppSettings) -> None:
    change(
        settings,
        "INSERT INTO media_files (id, owner_id, name, size, sha256, mime_type, kind) VALUES "
        "(gen_random_uuid(), %s, 'a.jpg', 3, repeat('0', 64), 'image/jpeg', 'image')",
        BUILT_IN_OWNER,
    )


def add_job(settings: AppSettings) -> None:
    change(
        settings,
        "INSERT INTO jobs (id, owner_id, kind, queue, args) VALUES "
        "(gen_random_uuid(), %s, 'k', 'default', '{}')",
        BUILT_IN_OWNER,
    )


@pytest.mark.parametrize("add", [add_media, add_job])
def test_an_owner_with_data_is_kept_and_nobody_can_use_it(
    before: AppSettings, add: Callable[[AppSettings], None]
) -> None:
    add(before)
    schema.migrate(before)
    kept = ask(before, "SELECT disabled_at IS NULL, password_hash FROM users WHERE id = %s", BUILT_IN_OWNER)
    assert kept == [(False, None)]


def test_an_owner_without_data_goes(before: AppSettings) -> None:
    schema.migrate(before)
    assert ask(before, "SELECT FROM users WHERE id = %s", BUILT_IN_OWNER) == []


def test_data_is_still_there_after_up_and_down(before: AppSettings) -> None:
    add_media(before)
    schema.migrate(before)
    schema.downgrade(before, "0003")
    assert ask(before, "SELECT owner_id::text, name FROM media_files") == [(BUILT_IN_OWNER, "a.jpg")]


def test_down_gives_the_version_before_its_owner_back(before: AppSettings) -> None:
    schema.migrate(before)
    schema.downgrade(before, "0003")
    found = ask(before, "SELECT email FROM users WHERE id = %s", BUILT_IN_OWNER)
    assert found == [("owner@localhost",)]


def test_addresses_become_lower_case(before: AppSettings) -> None:
    change(before, "INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'Ann@Example.COM')")
    schema.migrate(before)
    assert ("ann@example.com",) in ask(before, "SELECT email FROM users")
