"""The schema's revision."""

import psycopg

from app.core.config import AppSettings
from app.core.schema import head_revision, migrate, older_revisions
from tests.servers import plain


def revision(settings: AppSettings) -> str:
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as database:
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row
    return str(row[0])


def test_a_schema_of_newer_code_is_left_alone(settings: AppSettings) -> None:
    with psycopg.connect(plain(settings.database.url.get_secret_value())) as database:
        database.execute("UPDATE alembic_version SET version_num = 'newer'")
    migrate(settings)
    assert revision(settings) == "newer"


def test_the_newest_revision_is_not_among_the_older_ones(settings: AppSettings) -> None:
    assert head_revision() not in older_revisions()
    assert migrate(settings) == revision(settings) == head_revision()
