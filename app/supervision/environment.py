"""What supervisord and its programs are told through their environment."""

import os
import sys
from pathlib import Path
from typing import Final

from app.core.config import PROJECT_ROOT, AppSettings, Role
from app.core.database import RESERVED_CONNECTIONS, pool_budget
from app.supervision.embedded.account import server_home, unprivileged_account
from app.supervision.embedded.postgres import newest_version
from app.supervision.state import State

CONFIGURATION: Final = PROJECT_ROOT / "supervisor" / "supervisord.conf"
MARGIN_SECONDS: Final = 3
"""For supervisord's own loop, which looks about once a second, and for its end."""

MINIMUM_CONNECTIONS: Final = 100

_ROLES: Final[dict[Role, tuple[str, ...]]] = {
    Role.ALL: ("api", "worker", "beat"),
    Role.API: ("api",),
    Role.WORKER: ("worker",),
    Role.BEAT: ("beat",),
}


def programs(settings: AppSettings, servers: tuple[str, ...]) -> tuple[str, ...]:
    """The programs of this stack: the embedded servers and those of its role."""
    return (*servers, *_ROLES[settings.server.role])


def stop_budget(shutdown_timeout: int) -> dict[str, int]:
    """How SHUTDOWN_TIMEOUT is shared: the application's programs stop together, then the data servers.

    Args:
        shutdown_timeout: seconds, 10 or more, in which everything has stopped.
    """
    data = max(2, min(5, shutdown_timeout // 5))
    application = shutdown_timeout - data - MARGIN_SECONDS
    return {
        "API_STOP_SECONDS": application,
        "WORKER_STOP_SECONDS": application,
        # The worker needs a moment to give back what it could not finish.
        "WORKER_SOFT_SECONDS": max(1, application - 4),
        "DATA_STOP_SECONDS": data,
    }


def environment(
    settings: AppSettings,
    state: State,
    servers: tuple[str, ...],
    *,
    only: tuple[str, ...] | None = None,
    log_file: bool,
) -> dict[str, str]:
    """The environment of supervisord.

    Args:
        settings: the checked configuration.
        state: the folders of this stack.
        servers: the embedded servers to run.
        only: run these programs instead of the role's.
        log_file: write lines to a rotated file; to standard output otherwise.
    """
    chosen = only if only is not None else programs(settings, servers)
    server = settings.server
    values: dict[str, object] = {
        "STATE_DIR": state.folder,
        "RUN_DIR": state.run,
        "HOST": server.host,
        "PORT": server.port,
        "ROLE": server.role.value,
        "API_PROCESSES": server.api_processes,
        "WORKER_CONCURRENCY": settings.celery.worker_concurrency,
        "SHUTDOWN_TIMEOUT": server.shutdown_timeout,
        "DRAIN_DELAY": server.drain_delay,
        "FATAL_GRACE": server.fatal_grace,
        "WATCHDOG_TIMEOUT": server.watchdog_timeout,
        "HOLDFAST_PYTHON": sys.executable,
        "HOLDFAST_PROGRAMS": " ".join(f"conf.d/{name}.conf" for name in chosen),
        "HOLDFAST_CRITICAL": ",".join(chosen),
        "HOLDFAST_PRELOAD": ",".join(name for name in chosen if server.preload and name not in servers),
        # A program that is forked has supervisord's title until it writes its own, over no more than that.
        "SPT_NOENV": "1",
        "HOLDFAST_LOG_FILE": state.log_file if log_file else "",
        # An embedded PostgreSQL has room for all pools, however many processes there are to be.
        "POSTGRES_MAX_CONNECTIONS": max(MINIMUM_CONNECTIONS, pool_budget(settings) + RESERVED_CONNECTIONS),
        "POSTGRES_START_SECONDS": _postgres_start_seconds(state) if "postgres" in servers else 0,
        # Where the processes put the numbers that /metrics adds up.
        "PROMETHEUS_MULTIPROC_DIR": state.run / "metrics",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": _python_path(),
    }
    values |= stop_budget(server.shutdown_timeout)
    return dict(os.environ) | {name: str(value) for name, value in values.items()}


def _postgres_start_seconds(state: State) -> int:
    """Seconds until PostgreSQL counts as started: what makes its data first may fail late."""
    return 2 if newest_version(server_home(state.folder, unprivileged_account())) else 6


def _python_path() -> str:
    """Supervised programs find ``app`` wherever they are started from."""
    given = os.environ.get("PYTHONPATH", "")
    parts = [str(PROJECT_ROOT), *(part for part in given.split(os.pathsep) if part)]
    return os.pathsep.join(dict.fromkeys(parts))


def client_configuration(state: State) -> str:
    """The configuration of ``supervisorctl`` for this stack."""
    return (
        "; Written by `holdfast up`: how supervisorctl reaches this stack.\n"
        "[supervisorctl]\n"
        f"serverurl=unix://{state.control_socket}\n"
        "prompt=holdfast\n\n"
        "[ctlplugin:rolling]\n"
        "supervisor.ctl_factory=app.supervision.rolling:make_rolling\n"
        f"run_dir={state.run}\n"
    )


def link_client_configuration(state: State) -> Path | None:
    """Let a plain ``supervisorctl`` of this virtual environment reach this stack.

    supervisorctl looks for ``etc/supervisord.conf`` beside its own ``bin``. The link is left alone while
    it belongs to another stack that runs. Gives the link, or None where it was not made.
    """
    link = Path(sys.prefix) / "etc" / "supervisord.conf"
    if sys.prefix == sys.base_prefix:
        return None
    if link.is_symlink():
        other = link.resolve().parent
        if other == state.folder.resolve():
            return link
        if State(other, other / "run").control_socket.exists():
            return None
        link.unlink()
    if link.exists():
        return None
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(state.client_configuration)
    return link
