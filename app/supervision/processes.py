"""Keeps ``processes.json``: what ``/health/detailed`` tells of the supervised processes."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from supervisor.states import getProcessStateDescription

from app.supervision.files import write_json


class ProcessTable:
    """Names, states, pids, start times and restarts of all processes; written again after each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = True
        self._starts: dict[str, int] = {}

    def change(self) -> None:
        """Note that a process is in another state."""
        self._changed = True

    def starting(self, process: Any) -> None:
        """Count a start."""
        name = process.config.name
        self._starts[name] = self._starts.get(name, 0) + 1

    def write(self, processes: Iterable[Any]) -> None:
        """Write the file where something changed since.

        Raises:
            OSError: the run folder cannot be written.
        """
        if self._changed:
            self._changed = False
            write_json(self._path, {"processes": [self._row(process) for process in processes]})

    def _row(self, process: Any) -> dict[str, Any]:
        name = process.config.name
        started = datetime.fromtimestamp(process.laststart, UTC) if process.pid else None
        return {
            "name": name,
            "program": process.group.config.name,
            "state": getProcessStateDescription(process.state),
            "pid": process.pid or None,
            "started_at": started.isoformat(timespec="milliseconds") if started else None,
            "restarts": max(0, self._starts.get(name, 0) - 1),
        }
