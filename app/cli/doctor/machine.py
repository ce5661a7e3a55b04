"""The machine, and the stack of this folder."""

import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from typing import Final

from app.cli.doctor.finding import Finding
from app.cli.startup import holder
from app.core.config import PROJECT_ROOT, AppSettings, given_values
from app.supervision import control
from app.supervision.embedded.account import unprivileged_account
from app.supervision.embedded.binaries import ServerMissingError, find_postgres, find_redis
from app.supervision.state import State, is_free

_GIB: Final = 1024**3


def machine() -> Iterator[Finding]:
    """What runs here, and with what."""
    version = platform.python_version()
    if sys.version_info[:2] in {(3, 11), (3, 12), (3, 13), (3, 14)}:
        yield Finding("Python", version)
    else:
        yield Finding("Python", f"{version} is not supported", "use Python 3.11, 3.12, 3.13 or 3.14")
    free = shutil.disk_usage(PROJECT_ROOT).free
    if free < _GIB:
        yield Finding("disk", f"{free / _GIB:.1f} GiB free at {PROJECT_ROOT}", "free at least 1 GiB")
    given = given_values()
    for name in State.chosen(given).embedded_servers(given):
        try:
            found = str(find_postgres().prefix) if name == "postgres" else find_redis()
            yield Finding(f"embedded {name}", found)
        except ServerMissingError as error:
            yield Finding(f"embedded {name}", "is not installed", str(error))
        if name == "postgres":
            yield from _account()


def _account() -> Iterator[Finding]:
    try:
        account = unprivileged_account()
    except RuntimeError as error:
        yield Finding("account", str(error), "create an account named postgres, or do not run as root")
        return
    if account is not None:
        yield Finding("account", f"this is root: PostgreSQL runs as {account.name}")


def stack(settings: AppSettings | None) -> Iterator[Finding]:
    """The folder of the stack, and whether it is up."""
    state = State.chosen(given_values())
    folder = state.folder if state.folder.exists() else state.folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "STATE_DIR", f"{folder} cannot be written", "make it writable, or choose another folder"
        )
        return
    for file in state.secrets.glob("*") if state.secrets.is_dir() else ():
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Finding(str(file), "can be read by others", f"chmod 600 {file}")
    running = control.running_pid(state)
    yield Finding("stack", f"is up (process {running})" if running else "is not running")
    if settings is None:
        return
    root = settings.workspace_root
    if root.exists() and not os.access(root, os.W_OK | os.X_OK):
        yield Finding("WORKSPACE_ROOT", f"{root} cannot be written", "make it writable for this account")


def port(settings: AppSettings) -> Iterator[Finding]:
    """Whether the port is free for it."""
    server = settings.server
    if control.running_pid(State.chosen(given_values())) is None and not is_free(server.port, server.host):
        taken = f"{server.port} is taken by {holder(server.port)}"
        yield Finding("PORT", taken, "stop that program, or choose another port with PORT=...")
