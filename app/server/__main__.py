"""``python -m app.server``: one API process. With ``--reload`` it starts again when the code changes."""

import argparse
import asyncio
import importlib.util
import logging
import os
import resource
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from hypercorn.utils import LifespanFailureError

from app.core.config import AppSettings, ConfigurationError, exit_on_faults, load_settings
from app.core.drain import Drain
from app.core.exit_codes import EXIT_FAILED
from app.core.heartbeat import Heartbeat
from app.core.logging import setup_logging
from app.main import create_app
from app.server.serving import Listening, serve

_new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None
try:
    from uvloop import new_event_loop as _new_event_loop
except ImportError:  # no wheel for this system: the standard loop serves as well, only slower
    _new_event_loop = None

_LIFESPAN_SECONDS: Final = 3
"""Of API_STOP_SECONDS, kept for the application to close its connections."""

_OPEN_FILES: Final = 65536

logger = logging.getLogger("app.server")


def main(arguments: list[str] | None = None) -> int:
    """Serve, and give the exit code: 0 after a signal, 1 where it could not start, 78 by the settings."""
    parser = argparse.ArgumentParser(prog="python -m app.server", description=__doc__)
    parser.add_argument("--reload", action="store_true", help="start again when a file of the code changes")
    if parser.parse_args(arguments).reload:
        _reload()
    try:
        settings = load_settings()
        setup_logging(settings.log_level)
        return run(settings)
    except ConfigurationError as error:
        raise exit_on_faults(error) from None


def run(settings: AppSettings) -> int:
    """Serve the application with these settings; supervisord says by ``API_BIND`` where."""
    _allow_many_connections()
    drain, where = Drain(), listening(settings)
    try:
        app = create_app(settings, drain=drain)
        with asyncio.Runner(loop_factory=_new_event_loop) as runner:
            runner.run(serve(app, where, drain=drain, heartbeat=Heartbeat.from_environment()))
    except LifespanFailureError as error:
        if isinstance(error.__context__, ConfigurationError):
            raise error.__context__ from None
        logger.critical("The API could not start", exc_info=error.__context__ or error)
        return EXIT_FAILED
    except OSError as error:
        logger.critical("The API cannot listen", extra={"reason": str(error), "binds": where.binds})
        return EXIT_FAILED
    return 0


def listening(settings: AppSettings) -> Listening:
    """Supervised: on the shared socket and on the process's own, draining. Alone: on HOST:PORT, at once."""
    server = settings.server
    binds = os.environ.get("API_BIND")
    stop_seconds = float(os.environ.get("API_STOP_SECONDS") or server.shutdown_timeout)
    drain_delay = server.drain_delay if binds else 0.0
    return Listening(
        binds=tuple(binds.split(",")) if binds else (f"{server.host}:{server.port}",),
        drain_delay=drain_delay,
        grace=max(1.0, stop_seconds - drain_delay - _LIFESPAN_SECONDS),
        keep_alive=server.keep_alive_timeout,
        max_header_size=server.max_header_size,
    )


def _allow_many_connections() -> None:
    """Each connection is an open file, and many systems allow only 1,024 unless asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _reload() -> NoReturn:
    """Become watchfiles, which runs this module and starts it again after each change."""
    if importlib.util.find_spec("watchfiles") is None:
        raise SystemExit("--reload needs the package watchfiles: `make api` installs it")
    code = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "watchfiles", "--target-type", "command"]
    os.execv(sys.executable, [*command, f"{shlex.quote(sys.executable)} -m app.server", str(code)])  # noqa: S606 - no shell


if __name__ == "__main__":
    sys.exit(main())
