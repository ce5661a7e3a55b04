"""Restarts programs that live but no longer complete a cycle."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from supervisor.states import ProcessStates

from app.supervision.journal import Journal
from app.supervision.starts import heartbeat_file

_LONGEST_STEP: Final = 2.0


@dataclass(slots=True)
class _Seen:
    pid: int
    changed: int | None
    silent: float = 0.0


class Watchdog:
    """Kills the process group of a program whose heartbeat file has stood still for too long.

    Silence is the time that was watched, in steps of at most two seconds: neither a clock that was set, nor
    a container that was paused, makes every program look dead at once.
    """

    def __init__(
        self, timeout: float, journal: Journal, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._timeout = timeout
        self._journal = journal
        self._clock = clock
        self._last = clock()
        self._seen: dict[str, _Seen] = {}

    def look(self, processes: Iterable[Any]) -> None:
        """Look at every running process that has a heartbeat file; call it every second."""
        now = self._clock()
        step, self._last = min(now - self._last, _LONGEST_STEP), now
        for process in processes:
            if process.state == ProcessStates.RUNNING and heartbeat_file(process) is not None:
                self._look_at(process, step)

    def _look_at(self, process: Any, step: float) -> None:
        path = heartbeat_file(process)
        try:
            changed = path.stat().st_mtime_ns if path else None
        except OSError:
            changed = None
        seen = self._seen.get(process.config.name)
        if seen is None or (seen.pid, seen.changed) != (process.pid, changed):
            self._seen[process.config.name] = _Seen(process.pid, changed)
            return
        seen.silent += step
        # The first cycle includes the start: imports, connections, a database that is not there yet.
        if seen.silent > (self._timeout if changed else 2 * self._timeout):
            self._kill(process, seen)

    def _kill(self, process: Any, seen: _Seen) -> None:
        self._journal.say(
            "ERROR",
            f"{process.config.name} (pid {process.pid}) has completed no cycle for {seen.silent:.0f} s: "
            "killed, to be started again",
        )
        seen.silent = 0.0
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError as error:
            self._journal.say("WARNING", f"{process.config.name} could not be killed: {error}")
