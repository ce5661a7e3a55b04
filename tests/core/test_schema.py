"""The schema's revision."""

import psycopg
from alembic.script import ScriptDirectory

from app.core.config import AppSettings
from app.core.revisions import SCRIPTS, head_revision, older_revisions
from app.core.schema import migrate
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


def test_alembic_reads_the_same_revisions_of_the_scripts() -> None:
    scripts = ScriptDirectory(str(SCRIPTS))
    assert scripts.get_heads() == [head_revision()]
    assert {script.revision for script in scripts.walk_revisions()} == {head_revision(), *older_revisions()}
