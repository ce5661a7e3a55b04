"""A database without tables."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from app.core.config import AppSettings
from tests.configuration import make_settings
from tests.servers import beside, drop, plain


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    name = f"empty_{secrets.token_hex(6)}"
    with psycopg.connect(plain(database_url), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        yield beside(database_url, name)
        drop(admin, name)


@pytest.fixture
def unmigrated(empty_database: str, redis_url: str, tmp_path: Path) -> AppSettings:
    return make_settings(tmp_path, empty_database, redis_url, DATABASE_MIGRATION_LOCK_TIMEOUT="0.1")
