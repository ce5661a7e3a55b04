"""One job under the eyes of the keeper: its lease, its limits, and why it was told to stop."""

import asyncio
import threading
import time
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Reason(StrEnum):
    """Why a running job is told to stop."""

    CANCELLED = "cancelled"
    LOST = "lost"
    SHUTDOWN = "shutdown"
    TIME_LIMIT = "time_limit"


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker has taken: the columns of its row, and what the worker allows it."""

    id: uuid.UUID
    kind: str
    args: dict[str, Any]
    owner_id: uuid.UUID
    attempt: int
    failures: int
    """Attempts of the allowance that are used, this one included."""
    request_id: str | None
    claimed: float
    """When it was asked for, on this machine's monotonic clock: its lease ends no earlier than this tells."""
    soft_limit: float
    hard_limit: float


class Progress:
    """The newest progress of a job, until the keeper writes it."""

    def __init__(self) -> None:
        self._newest: tuple[float, str | None] | None = None

    def report(self, share: float, word: str | None) -> None:
        """Keep this instead of what was told before."""
        self._newest = (share, word)

    def take(self) -> tuple[float, str | None] | None:
        """What was not written yet."""
        taken, self._newest = self._newest, None
        return taken


class Watch:
    """Shared by the event loop, which runs the job, and the keeper's thread, which may interrupt it."""

    def __init__(self, claim: Claim, task: "asyncio.Task[Any]", progress: Progress, lease: float) -> None:
        self.claim: Final = claim
        self.progress: Final = progress
        self.held_until = claim.claimed + lease
        self.renew_at = claim.claimed + lease / 3
        self.report_at = 0.0
        """When its progress may be written again."""
        self.soft_at: Final = claim.claimed + claim.soft_limit
        self.hard_at: Final = claim.claimed + claim.hard_limit
        self.reason: Reason | None = None
        self.since: Final[dict[Reason, float]] = {}
        """When each reason to stop was first seen, on the monotonic clock; the weightiest is ``reason``."""
        self.finishing_since: float | None = None
        self._task = task
        self._loop = task.get_loop()
        self._lock = threading.Lock()

    def interrupt(self, reason: Reason) -> None:
        """Cancel the job's task, once; a lost lease overrules any other reason."""
        with self._lock:
            if self.finishing_since is not None:
                return
            self.since.setdefault(reason, time.monotonic())
            if self.reason in (reason, Reason.LOST):
                return
            if self.reason is not None and reason is not Reason.LOST:
                return
            self.reason = reason
            self._loop.call_soon_threadsafe(self._task.cancel)

    def finish(self) -> Reason | None:
        """The job's function has ended; nothing interrupts what follows. Gives why it was told to stop."""
        with self._lock:
            self.finishing_since = time.monotonic()
            return self.reason
