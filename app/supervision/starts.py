"""Gives up on programs that cannot start.

supervisord counts an exit within ``startsecs`` as a failed start and lets the program go FATAL after
``startretries`` of them; one that fails a moment later it restarts for ever, without delay. Here two more
exits are failed starts: the one of a program that has a heartbeat and never completed a cycle, and the one
with the status that says the configuration is wrong, after which trying again is useless.
"""

import os
from pathlib import Path
from typing import Any

from supervisor.options import decode_wait_status
from supervisor.states import ProcessStates

from app.core.exit_codes import EXIT_CONFIGURATION
from app.core.heartbeat import ENVIRONMENT_NAME
from app.supervision.journal import Journal


def heartbeat_file(process: Any) -> Path | None:
    """The file that this process is to touch, where its program has one."""
    name = (process.config.environment or {}).get(ENVIRONMENT_NAME)
    return Path(name) if name else None


class ExitStatuses:
    """Remembers how each process ended; supervisord forgets it where a start failed."""

    def __init__(self, options: Any) -> None:
        self._waitpid = options.waitpid
        self._ended: dict[int, int] = {}
        options.waitpid = self

    def __call__(self) -> tuple[int | None, int | None]:
        """Stand in for ``options.waitpid``."""
        pid, status = self._waitpid()
        if pid:
            self._ended = {pid: status}  # it is asked for while this very exit is handled
        return pid, status

    def code(self, pid: int) -> int | None:
        """The exit code of the process that just ended: negative for none, such as after a signal."""
        status = self._ended.get(pid)
        return None if status is None else os.waitstatus_to_exitcode(status)

    def words(self, pid: int) -> str:
        """The same in words."""
        status = self._ended.get(pid)
        return "" if status is None else str(decode_wait_status(status)[1])


class Starts:
    """Counts the failed starts of each process."""

    def __init__(self, statuses: ExitStatuses, journal: Journal) -> None:
        self._statuses = statuses
        self._journal = journal
        self._failed: dict[str, int] = {}
        self.reasons: dict[str, str] = {}
        """How each process last ended, by its name."""

    def starting(self, process: Any) -> None:
        """A process is about to be spawned: what its predecessor left says nothing about it."""
        if path := heartbeat_file(process):
            path.unlink(missing_ok=True)

    def backoff(self, process: Any) -> None:
        """A start failed. Where the configuration is wrong, let it be the last one."""
        name = process.config.name
        if not process.pid:
            self.reasons[name] = str(process.spawnerr)
            return
        self.reasons[name] = self._statuses.words(process.pid)
        if self._statuses.code(process.pid) == EXIT_CONFIGURATION:
            process.backoff = process.config.startretries + 1
            message = f"{name}: its configuration is wrong (exit status 78); it is not started again"
            self._journal.say("ERROR", message)

    def exited(self, process: Any) -> None:
        """A running process ended by itself. Without a single completed cycle that was no start at all."""
        name = process.config.name
        self.reasons[name] = self._statuses.words(process.pid)
        path = heartbeat_file(process)
        worked = path is None or path.exists()
        if worked and self._statuses.code(process.pid) != EXIT_CONFIGURATION:
            self._failed.pop(name, None)
            return
        failed = self._failed[name] = self._failed.get(name, 0) + 1
        process.backoff = failed - 1  # the change of state adds one, and waits as many seconds
        process.change_state(ProcessStates.BACKOFF)

    def gave_up(self, process: Any) -> str:
        """A process is FATAL: count anew, and say why."""
        name = process.config.name
        self._failed.pop(name, None)
        return f"it cannot start: {self.reasons.get(name) or process.spawnerr}"
