"""Ends the programs of a stack whose supervisord was killed: nobody else owns them any more."""

import json
import os
import signal
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil

from app.supervision.control import running_pid
from app.supervision.environment import CONFIGURATION
from app.supervision.state import State

_DATA_SERVERS: Final = ("postgres", "redis")
_APPLICATION_SECONDS: Final = 10.0
_DATA_SECONDS: Final = 5.0
_CLOCK_SECONDS: Final = 2.0
"""By how much supervisord's note of a start may differ from the system's."""
_FORK_SECONDS: Final = 10.0
"""How long after that note a busy machine may fork."""


def end_orphans(state: State) -> list[str]:
    """End what a dead supervisord left running: the application's programs first, then the data servers.

    Takes up to 15 seconds. Gives the names of the processes; none where supervisord answers.
    """
    if running_pid(state) is not None:
        return []
    found = _orphans(state)
    application = {name: process for name, process in found.items() if name not in _DATA_SERVERS}
    servers = {name: process for name, process in found.items() if name in _DATA_SERVERS}
    _end(application, _APPLICATION_SECONDS)
    _end(servers, _DATA_SECONDS)
    return [*application, *servers]


def _orphans(state: State) -> dict[str, psutil.Process]:
    found = {}
    for row in _rows(state):
        with suppress(psutil.Error):
            process = psutil.Process(row["pid"])
            if _is_the_one(process, row) and _belongs(process, state) and not _is_supervised(process):
                found[row["name"]] = process
    return found


def _rows(state: State) -> list[dict[str, Any]]:
    try:
        rows = json.loads((state.run / "processes.json").read_text())["processes"]
    except (OSError, ValueError, KeyError):
        return []
    return [row for row in rows if row["pid"] and row["started_at"]]


def _is_the_one(process: psutil.Process, row: dict[str, Any]) -> bool:
    """Whether the process is the one that was noted, not a later one with the same number."""
    noted = datetime.fromisoformat(row["started_at"]).timestamp()
    late = process.create_time() - noted
    return -_CLOCK_SECONDS <= late <= _FORK_SECONDS and process.status() != psutil.STATUS_ZOMBIE


def _belongs(process: psutil.Process, state: State) -> bool:
    environment = process.environ()
    if folder := environment.get("STATE_DIR"):
        return Path(folder) == state.folder
    # Redis writes its title over its environment; it works in the run folder.
    return not environment and Path(process.cwd()).resolve() == state.run.resolve()


def _is_supervised(process: psutil.Process) -> bool:
    """Whether a supervisord that does not answer is still there as the parent."""
    parent = process.parent()
    return parent is not None and str(CONFIGURATION) in parent.cmdline()


def _end(processes: dict[str, psutil.Process], seconds: float) -> None:
    for name, process in processes.items():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    psutil.wait_procs(list(processes.values()), timeout=seconds)
    for process in processes.values():
        # Each program leads a group of its own; its number is not given anew while a member lives.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
