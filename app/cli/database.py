"""``migrate``."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Final

import typer
from sqlalchemy.exc import OperationalError

from app.cli.accounts import HOW, has_admin
from app.cli.console import console, errors
from app.core.config import AppSettings, load_settings
from app.core.database import check_pool_budget, create_engine
from app.core.logging import setup_logging
from app.core.schema import migrate as migrate_schema
from app.supervision.control import StackError

REACHABLE_SECONDS: Final = 60.0

logger = logging.getLogger(__name__)


class DatabaseAwayError(StackError):
    """PostgreSQL did not answer in the time that it was given."""


def migrate_when_reachable(
    settings: AppSettings, *, timeout: float = REACHABLE_SECONDS, alive: Callable[[], bool] = lambda: True
) -> str:
    """Bring the schema to this version's as soon as the database answers; gives the revision.

    Raises:
        DatabaseAwayError: it did not answer within ``timeout`` seconds.
        StackError: the stack that it belongs to ended, or all pools together are too large for the database.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            revision = migrate_schema(settings)
            asyncio.run(refuse_pools_that_do_not_fit(settings))
            return revision
        except OperationalError as error:
            if not alive():
                raise StackError("the stack ended before PostgreSQL answered") from error
            if time.monotonic() > end:
                raise DatabaseAwayError(
                    f"PostgreSQL did not answer within {timeout:g} s: see `make doctor`"
                ) from error
            time.sleep(0.1)


async def refuse_pools_that_do_not_fit(settings: AppSettings) -> None:
    """Hold all pools against the server's ``max_connections``, before somebody meets with the limit.

    Raises:
        StackError: they do not fit.
    """
    engine = create_engine(settings.database, pool_size=1, name="holdfast-check")
    try:
        problem = await check_pool_budget(engine, settings)
    finally:
        await engine.dispose()
    if problem:
        raise StackError(problem)


def migrate(
    *, quiet: Annotated[bool, typer.Option("--quiet", help="Write JSON log lines instead of text.")] = False
) -> None:
    """Bring the database's schema to this version's; safe to run from many machines at once."""
    settings = load_settings()
    if quiet:
        setup_logging(settings.log_level)
        # Beside a stack that runs: its database may come late, and readiness tells until then.
        try:
            revision = migrate_when_reachable(settings, timeout=float("inf"))
        except Exception as error:
            logger.exception("migration_failed")
            raise typer.Exit(1) from error
        tell(settings, revision)
        return
    with errors.status("Migrating ..."):
        revision = migrate_when_reachable(settings)
    console.print(f"The schema is at {revision}.")


def tell(settings: AppSettings, revision: str) -> None:
    """Log where the schema is, and that nobody administrates where that is so."""
    logger.info("schema_up_to_date", extra={"revision": revision})
    # None is made here: these lines go to a log, which is no place for a one-time password.
    with suppress(StackError):
        if not has_admin(settings):
            logger.warning("no_administrator", extra={"hint": HOW})
