"""Keeps the lease of a child's running job, from a thread with a connection of its own.

A job that blocks the event loop must not lose its lease unnoticed, and must still be cancelled: that thread
renews, writes progress, reads whether the owner wants the job cancelled, and holds it to its limits. What
does not stop when it is told to is killed with this process; its row is settled before.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import psutil
from sqlalchemy.exc import SQLAlchemyError

from app.services.jobs import moves
from app.workers.blocking import Line
from app.workers.watch import Reason, Watch

PERIOD: Final = 0.5
"""Seconds between two looks at a job, and so until a wish to cancel is seen; what takes less is never
looked at."""

PROGRESS_PERIOD: Final = 1.0
"""Seconds between two times that progress is written: each is an event for good."""

ENDING_PERIOD: Final = 0.25
"""Seconds between two looks at a job that was told to stop."""

STOP_GRACE: Final = 2.0
"""Seconds that a job whose lease is lost, or whose worker stops, has to end by itself."""

FINISH_LIMIT: Final = 120.0
"""Seconds that writing down a job's end may take: beyond, its connection hangs, and the job starts over."""

_log = logging.getLogger(__name__)


class Keeper:
    """Looks after one job at a time.

    Args:
        line: where it talks to the database.
        lease: seconds that a renewal lasts.
        cancel_grace: seconds from an owner's wish to cancel until the job is killed.
        on_proof: called whenever the database confirmed that the job is still held.
        kill: ends this process at once; replaced in tests.
        clock: seconds that never go back, as ``time.monotonic`` counts them.
    """

    def __init__(
        self,
        line: Line,
        *,
        lease: float,
        cancel_grace: float,
        on_proof: Callable[[], None],
        kill: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line = line
        self._lease = lease
        self._cancel_grace = cancel_grace
        self._on_proof = on_proof
        self._kill = kill or kill_this_process
        self._clock = clock
        self._watch: Watch | None = None
        self._wake = threading.Event()
        self._closing = False
        self.stopping = False
        self._thread: threading.Thread | None = None

    def hold(self, watch: Watch) -> None:
        """Look after this job from now on."""
        self._watch = watch
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
            self._thread.start()

    def release(self) -> None:
        """The job is over."""
        self._watch = None

    def stop(self) -> None:
        """The worker stops: interrupt the job at once. May be called by a signal handler."""
        self.stopping = True
        self._wake.set()

    def close(self) -> None:
        """End the thread and close its connection."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(PERIOD)
        self._line.close()

    def _run(self) -> None:
        while not self._closing:
            ending = (watch := self._watch) is not None and watch.reason is not None
            self._wake.wait(ENDING_PERIOD if ending else PERIOD)
            self._wake.clear()
            if (watch := self._watch) is not None:
                try:
                    self.look_after(watch)
                except Exception:  # noqa: BLE001 - without this thread the lease would end
                    _log.exception("keeper_failed")

    def look_after(self, watch: Watch) -> None:
        """Hold the job to its limits, renew, read, and write its progress; one look."""
        self._judge(watch)
        # Before the database is asked too: the answer may take as long as a silent network is waited for.
        if self._ended(watch):
            return
        held = self._keep(watch)
        if not self._ended(watch) and held:
            self._write_progress(watch)

    def _judge(self, watch: Watch) -> None:
        """Tell the job to stop where this machine alone knows that it must."""
        now = self._clock()
        if now >= watch.held_until:
            watch.interrupt(Reason.LOST)
        if self.stopping:
            watch.interrupt(Reason.SHUTDOWN)
        elif now >= min(watch.soft_at, watch.hard_at):
            watch.interrupt(Reason.TIME_LIMIT)

    def _ended(self, watch: Watch) -> bool:
        """End what had its time to end by itself; whether it had."""
        now = self._clock()
        if watch.finishing_since is not None:
            if overdue := now >= watch.finishing_since + FINISH_LIMIT:
                self._end(watch, Reason.LOST)
            return overdue
        if watch.reason is None or now < self._ends_at(watch):
            return False
        self._force(watch, watch.reason)
        return True

    def _keep(self, watch: Watch) -> bool:
        """Renew or read; whether the job is still held."""
        try:
            rows = self._talk(watch)
        except SQLAlchemyError as error:
            _log.warning("lease_not_renewed", extra={"error": str(error), "job": str(watch.claim.id)})
            if self._clock() >= watch.held_until:
                watch.interrupt(Reason.LOST)
            return False
        if not rows:
            watch.interrupt(Reason.LOST)
            return False
        self._on_proof()
        if rows[0][0]:
            watch.interrupt(Reason.CANCELLED)
        return True

    def _talk(self, watch: Watch) -> list[Any]:
        claim, now = watch.claim, self._clock()
        if now < watch.renew_at:
            return self._line.rows(moves.watch(claim.id, claim.attempt))
        rows = self._line.rows(moves.renew(claim.id, claim.attempt, lease=self._lease))
        if rows:
            watch.held_until, watch.renew_at = now + self._lease, now + self._lease / 3
        return rows

    def _write_progress(self, watch: Watch) -> None:
        now = self._clock()
        if now < watch.report_at or (progress := watch.progress.take()) is None:
            return
        watch.report_at = now + PROGRESS_PERIOD
        try:
            self._line.rows(moves.report(watch.claim.id, watch.claim.attempt, *progress))
        except SQLAlchemyError as error:
            _log.warning("progress_not_written", extra={"error": str(error), "job": str(watch.claim.id)})

    def _ends_at(self, watch: Watch) -> float:
        """When the first of the graces ends that the job was given."""
        graces = {
            Reason.LOST: STOP_GRACE,
            Reason.SHUTDOWN: STOP_GRACE,
            Reason.CANCELLED: self._cancel_grace,
        }
        ends = [since + graces[reason] for reason, since in watch.since.items() if reason in graces]
        return min([watch.hard_at, *ends])

    def _force(self, watch: Watch, reason: Reason) -> None:
        """Settle the row, then end this process and what it started."""
        if reason is Reason.LOST or self._settle(watch, reason):
            self._end(watch, reason)

    def _end(self, watch: Watch, reason: Reason) -> None:
        _log.error("job_killed", extra={"reason": str(reason), "job": str(watch.claim.id)})
        self._kill()

    def _settle(self, watch: Watch, reason: Reason) -> bool:
        try:
            settled = bool(self._line.rows(settlement(watch, reason)))
        except SQLAlchemyError as error:
            _log.warning("job_not_settled", extra={"error": str(error), "job": str(watch.claim.id)})
            # A worker that stops has no time left: the lease will end by itself.
            return reason is Reason.SHUTDOWN
        if not settled:
            # Completed at this moment, or lost; the next look tells which.
            watch.interrupt(Reason.LOST)
        return settled


def settlement(watch: Watch, reason: Reason) -> Any:
    """What becomes of a job that was told to stop, as a statement."""
    claim = watch.claim
    if reason is Reason.CANCELLED:
        return moves.cancel_running(claim.id, claim.attempt)
    if reason is Reason.SHUTDOWN:
        return moves.give_back(claim.id, claim.attempt)
    error = {"code": "time_limit", "message": f"The job took longer than {claim.soft_limit:g} s."}
    return moves.try_again(claim.id, claim.attempt, error, delay=0.0)


def kill_descendants() -> None:
    """Kill every process that this one started, and theirs."""
    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def kill_this_process() -> None:
    """End this child at once, tools first; the worker starts another in its place."""
    kill_descendants()
    os.kill(os.getpid(), signal.SIGKILL)
