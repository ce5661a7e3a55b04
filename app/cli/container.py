"""``run``: what a container starts. Everything that it says is a JSON line, and it becomes supervisord."""

import logging
import os
import signal
from types import FrameType
from typing import Final, NoReturn

import typer

from app import __version__
from app.cli.database import DatabaseAwayError, log_away, migrate_when_reachable, tell
from app.cli.startup import Plan
from app.core.config import EXIT_CONFIGURATION, ConfigurationError
from app.core.exit_codes import EXIT_FAILED
from app.core.logging import setup_logging
from app.supervision import control
from app.supervision.control import StackError

DATABASE_SECONDS: Final = 15.0
"""How long a start waits for PostgreSQL before it goes on without: readiness tells then."""

logger = logging.getLogger("app.container")


def run() -> None:
    """Be a container's first process: check the configuration, migrate, and become supervisord.

    Nothing is embedded or generated: DATABASE_URL, REDIS_URL and SECRET_KEY must be given, the same to every
    container. Exit code 78 and one line a fault where the configuration is wrong.
    """
    setup_logging()
    # A first process has no default signals: without this a stop would wait for the end of its grace period.
    signal.signal(signal.SIGTERM, _leave)
    try:
        _start()
    except ConfigurationError as error:
        for fault in error.faults:
            fields = {"variable": fault.name, "problem": fault.problem, "expected": fault.expected}
            logger.critical("configuration_fault", extra=fields)
        raise typer.Exit(EXIT_CONFIGURATION) from None
    except StackError as error:
        logger.critical("start_failed", extra={"reason": str(error)})
        raise typer.Exit(EXIT_FAILED) from None
    except Exception as error:
        logger.critical("start_failed", exc_info=True)
        raise typer.Exit(EXIT_FAILED) from error


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    logger.info("stopped_before_start")
    # Not by an exception: where it arises, such as in a finalizer, that may be caught, and the stop be lost.
    os._exit(0)


def _start() -> NoReturn:
    plan = Plan.make(embedded=False)
    server = plan.settings.server
    setup_logging(plan.settings.log_level)
    logger.info("container_starts", extra={"version": __version__, "role": server.role.value})
    plan.refuse_where_it_cannot_start()
    try:
        revision = migrate_when_reachable(plan.settings, timeout=DATABASE_SECONDS, told=log_away)
        tell(plan.settings, revision)
    except DatabaseAwayError as error:
        fields = {"waited_seconds": DATABASE_SECONDS, "reason": error.reason}
        logger.warning("database_is_away", extra=fields)
        plan.migrate_from_beside()
    control.become_supervisord(plan.environment(log_file=False))
