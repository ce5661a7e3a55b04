"""Ends the stack when a critical program cannot be brought up; supervisord alone would stay and exit 0."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from supervisor.states import ProcessStates, SupervisorStates

from app.supervision.files import write_json
from app.supervision.journal import Journal

EXIT_FATAL: Final = 70
"""sysexits.h EX_SOFTWARE: what orchestrators see when a critical program is FATAL."""


class Escalation:
    """First the marker that turns readiness to 503, then, after a grace, the ordered end of the stack.

    A program is FATAL when one of its processes is and no other one runs: a rollout that fails must not
    take the old processes, which still serve, down with it.
    """

    def __init__(
        self,
        options: Any,
        journal: Journal,
        *,
        marker: Path,
        critical: frozenset[str],
        grace: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._journal = journal
        self._marker = marker
        self._critical = critical
        self._grace = grace
        self._clock = clock
        self._deadline: float | None = None
        marker.unlink(missing_ok=True)

    @property
    def exit_code(self) -> int:
        """70 once a critical program was FATAL and the stack ends, else 0."""
        ending = self._options.mood <= SupervisorStates.SHUTDOWN
        return EXIT_FATAL if self._deadline is not None and ending else 0

    def fatal(self, process: Any, reason: str) -> None:
        """Look at a process that went FATAL while the stack was up."""
        program = process.group.config.name
        others = [other for other in process.group.processes.values() if other is not process]
        if self._options.mood < SupervisorStates.RUNNING:
            return  # one that was waiting for its next try when the stack was told to stop
        if program not in self._critical or any(other.state == ProcessStates.RUNNING for other in others):
            self._journal.say("CRITICAL", f"{process.config.name} is FATAL: {reason}", program=program)
        elif self._deadline is None:
            self._deadline = self._clock() + self._grace
            self._announce(program, process.config.name, reason)

    def tick(self) -> None:
        """Begin the end once the grace is over; call it every second."""
        if self._deadline is not None and self._clock() >= self._deadline:
            self._options.mood = min(self._options.mood, SupervisorStates.SHUTDOWN)

    def _announce(self, program: str, process: str, reason: str) -> None:
        self._journal.say(
            "CRITICAL",
            f"critical program {process} is FATAL: {reason}; the stack ends in {self._grace:g} s "
            f"with exit code {EXIT_FATAL}",
            program=program,
        )
        marker = {
            "program": program,
            "process": process,
            "reason": reason,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        try:
            write_json(self._marker, marker)
        except OSError as error:
            self._journal.say("ERROR", f"{self._marker} could not be written: {error}")
