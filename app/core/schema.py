"""Brings the database's tables to the revision that this code expects."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from app.core.config import AppSettings
from app.core.database import ENCODING, direct_url
from app.core.revisions import SCRIPTS, head_revision, older_revisions

_LOCK: Final = 0x486F6C6466617374
"""The key of the advisory lock under which one process alone migrates."""

LOCK_SECONDS: Final = 600.0
"""How long a migration waits for another, or for queries that hold its tables. Startup probes allow more."""

_PAUSE: Final = 0.25

RECODE: Final = (
    f"only {ENCODING} holds every text. Make one by `CREATE DATABASE name ENCODING '{ENCODING}' TEMPLATE "
    "template0`, carry over what is in this one (pg_dump, psql), and name the new one in DATABASE_URL"
)
"""What to do with a database of another encoding."""

_log = logging.getLogger(__name__)


class EncodingError(Exception):
    """The database is of an encoding that cannot hold every text."""

    def __init__(self, name: str, encoding: str) -> None:
        super().__init__(f"the database {name} has the encoding {encoding}: {RECODE}")


def migrate(settings: AppSettings, revision: str = "head") -> str:
    """Bring the schema up to a revision and give the newest; any number of processes may do so at once.

    Raises:
        EncodingError: its encoding cannot hold every text.
        TimeoutError: another process migrated, or held a lock that is needed, for ten minutes.
        sqlalchemy.exc.DBAPIError: the database is away, or a script failed and was rolled back.
    """
    head = head_revision()
    with _connection(settings) as connection:
        _refuse_other_encodings(connection)
        present = current_revision(connection)
        if present not in {None, head, *older_revisions()}:
            _log.warning("schema_is_newer", extra={"revision": present, "expected": head})
        elif revision != "head" or present != head:
            _patiently(settings, connection, lambda: command.upgrade(alembic_config(connection), revision))
    return head


def _refuse_other_encodings(connection: Connection) -> None:
    """Hold the database against the one encoding that holds every text, before there is any.

    Raises:
        EncodingError: it is of another.
    """
    encoding, name = connection.execute(
        text("SELECT current_setting('server_encoding'), current_database()")
    ).one()
    connection.rollback()
    if encoding != ENCODING:
        raise EncodingError(name, encoding)


def downgrade(settings: AppSettings, revision: str = "base") -> None:
    """Take the schema down to a revision; raises as ``migrate``."""
    with _connection(settings) as connection:
        _patiently(settings, connection, lambda: command.downgrade(alembic_config(connection), revision))


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at, None where it was never migrated."""
    heads = MigrationContext.configure(connection).get_current_heads()
    connection.rollback()
    return ",".join(sorted(heads)) or None


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, bound to a connection that is not in a transaction."""
    configuration = Config()
    configuration.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    return configuration


@contextmanager
def _connection(settings: AppSettings) -> Iterator[Connection]:
    # A direct connection: the advisory lock belongs to the session, and no pool may hand it on.
    engine = create_engine(
        direct_url(settings.database),
        poolclass=NullPool,
        connect_args={
            "connect_timeout": settings.database.connect_timeout,
            "application_name": "holdfast-migrate",
        },
    )
    with engine.connect() as connection:
        yield connection


def _patiently(settings: AppSettings, connection: Connection, work: Callable[[], None]) -> None:
    """Do the work alone, and again where a running query held a table for longer than the lock timeout.

    Waiting without limit for a lock would make every later query on that table wait behind the migration.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while not _exclusive(connection):
        _pause(deadline, "another process still migrates")
    try:
        while True:
            _set_lock_timeout(connection, settings.database.lock_timeout)
            try:
                return work()
            except OperationalError as error:
                if not isinstance(error.orig, LockNotAvailable):
                    raise
                connection.rollback()
                _log.warning("migration_waits_for_lock")
            _pause(deadline, "other queries hold the tables that the migration changes")
    finally:
        _release(connection)


def _exclusive(connection: Connection) -> bool:
    taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar_one()
    connection.commit()
    return bool(taken)


def _set_lock_timeout(connection: Connection, seconds: float) -> None:
    connection.execute(
        text("SELECT set_config('lock_timeout', :value, false)"), {"value": f"{int(seconds * 1000)}ms"}
    )
    connection.commit()


def _release(connection: Connection) -> None:
    # The session's end frees the lock too; a broken connection must not hide the error that broke it.
    with suppress(DBAPIError):
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
        connection.commit()


def _pause(deadline: float, reason: str) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"The migration gave up after {LOCK_SECONDS:.0f} s: {reason}.")
    time.sleep(_PAUSE)
