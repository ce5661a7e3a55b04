"""``migrate``."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Annotated, Final

import typer
from rich.markup import escape
from sqlalchemy.exc import OperationalError

from app.cli.accounts import HOW, has_admin
from app.cli.console import console, errors
from app.core.commands import command
from app.core.config import AppSettings, load_settings
from app.core.database import check_pool_budget, create_engine, is_unreachable
from app.core.logging import setup_logging
from app.core.masking import mask_text
from app.core.schema import EncodingError
from app.core.schema import migrate as migrate_schema
from app.supervision.control import StackError

REACHABLE_SECONDS: Final = 60.0
QUIET_SECONDS: Final = 3.0
"""How long a database may be away before that is told: beside an embedded one a start is always early."""

Told = Callable[[str], None]

logger = logging.getLogger(__name__)


class DatabaseAwayError(StackError):
    """PostgreSQL did not answer in the time that it was given; ``reason`` is what was met with at last."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(
            f"PostgreSQL did not answer within {seconds:g} s ({reason}): see {command('doctor')}"
        )
        self.reason = reason


def log_away(reason: str) -> None:
    """Tell a log why there is no database."""
    logger.warning("database_away", extra={"reason": reason, "hint": "it is tried until it answers"})


def show_away(reason: str) -> None:
    """Tell who sits before it why there is no database."""
    errors.print(f"[yellow]PostgreSQL does not answer yet:[/] {escape(reason)}")


def migrate_when_reachable(
    settings: AppSettings,
    *,
    timeout: float = REACHABLE_SECONDS,
    alive: Callable[[], bool] = lambda: True,
    told: Told = lambda _reason: None,
) -> str:
    """Bring the schema to this version's as soon as the database answers; gives the revision.

    Only what keeps it from being reached is tried again. A wrong password and a missing database count among
    that: a server that is still prepared for its first use has neither yet. ``told`` hears the reason, and
    each new one.

    Raises:
        DatabaseAwayError: it did not answer within ``timeout`` seconds.
        StackError: the stack that it belongs to ended, all pools together are too large for the database, or
            its encoding cannot hold every text.
        sqlalchemy.exc.DBAPIError: a script failed.
    """
    begin, last, pauses = time.monotonic(), "", backoff(0.1, 1.0)
    while True:
        try:
            revision = migrate_schema(settings)
            asyncio.run(refuse_pools_that_do_not_fit(settings))
            return revision
        except EncodingError as error:
            raise StackError(str(error)) from None
        except OperationalError as error:
            if not is_unreachable(error):
                raise
            if not alive():
                raise StackError("the stack ended before PostgreSQL answered") from error
            reason, waited = why(error), time.monotonic() - begin
            if waited > timeout:
                raise DatabaseAwayError(timeout, reason) from error
            if reason != last and waited > QUIET_SECONDS:
                told(reason)
                last = reason
        time.sleep(next(pauses))


def backoff(first: float, longest: float) -> Iterator[float]:
    """Seconds between attempts: twice as many each time, up to the longest."""
    while True:
        yield first
        first = min(2 * first, longest)


def why(error: OperationalError) -> str:
    """What the driver says, in one line and without passwords."""
    return mask_text(" ".join(str(error.orig).split()))


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


def migrate_beside(settings: AppSettings) -> str:
    """Migrate for the stack that this process was started by, until it is done or the stack has ended.

    A stack that runs is live and not ready meanwhile, and nothing else would ever migrate for it: a lock may
    be let go of, a full disk be given room. What cannot pass stays an error in the log, told each minute.

    Raises:
        StackError: the stack ended.
    """
    stack, pauses = os.getppid(), backoff(1.0, 60.0)

    def alive() -> bool:
        return os.getppid() == stack

    while alive():
        try:
            return migrate_when_reachable(settings, timeout=float("inf"), alive=alive, told=log_away)
        except Exception:
            if not alive():
                break
            pause = next(pauses)
            logger.exception("migration_failed", extra={"retry_in_seconds": pause})
            time.sleep(pause)
    raise StackError("the stack ended before its schema was migrated")


def migrate(
    *,
    quiet: Annotated[bool, typer.Option("--quiet", help="Write JSON log lines instead of text.")] = False,
    beside: Annotated[
        bool, typer.Option("--beside", hidden=True, help="Go on until the stack ends.")
    ] = False,
) -> None:
    """Bring the database's schema to this version's; safe to run from many machines at once."""
    settings = load_settings()
    if quiet:
        setup_logging(settings.log_level)
        # Nobody waits before it: the database may come late.
        try:
            if beside:
                revision = migrate_beside(settings)
            else:
                revision = migrate_when_reachable(settings, timeout=float("inf"), told=log_away)
        except Exception as error:
            logger.exception("migration_failed")
            raise typer.Exit(1) from error
        tell(settings, revision)
        return
    with errors.status("Migrating ..."):
        revision = migrate_when_reachable(settings, told=show_away)
    console.print(f"The schema is at {revision}.")


def tell(settings: AppSettings, revision: str) -> None:
    """Log where the schema is, and that nobody administrates where that is so."""
    logger.info("schema_up_to_date", extra={"revision": revision})
    # None is made here: these lines go to a log, which is no place for a one-time password.
    with suppress(StackError):
        if not has_admin(settings):
            logger.warning("no_administrator", extra={"hint": HOW})
