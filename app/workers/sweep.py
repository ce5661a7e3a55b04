"""The sweep of every worker: finds what no message told of, and proves that the worker consumes.

A thread in the worker's parent, which is there whatever its children do.
"""

import logging
import random
import threading
from collections.abc import Sequence
from typing import Final

from redis import Redis, RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.celery_app import DOORBELL, PULSE, TICKS
from app.core.database import is_unavailable
from app.core.heartbeat import Heartbeat
from app.services.heartbeats import WORKER, write_heartbeat
from app.services.jobs import moves
from app.services.jobs.registry import known_kinds
from app.services.publisher import Publisher
from app.workers.blocking import Line
from app.workers.board import Board
from app.workers.slots import Slots

_PULSE_LIFETIME: Final = 60

_log = logging.getLogger(__name__)


class Sweep:
    """One worker's sweep.

    Args:
        line: to the database.
        broker: a client of the broker.
        publisher: sends doorbells and pulses.
        board: what the children are doing.
        heartbeat: the file that the watchdog reads.
        health: a client of the Redis that tells of the workers' health, which may be another.
        slots: fires the schedules' due slots.
        name: the worker's node name.
        queues: what it consumes.
        pulse_queue: what it alone consumes.
        period: seconds between two sweeps.
        lease: seconds that a lease lasts.
    """

    def __init__(
        self,
        line: Line,
        broker: Redis,
        publisher: Publisher,
        board: Board,
        heartbeat: Heartbeat,
        *,
        health: Redis,
        slots: Slots,
        name: str,
        queues: Sequence[str],
        pulse_queue: str,
        period: float,
        lease: float,
    ) -> None:
        self._line = line
        self._broker = broker
        self._health = health
        self._slots = slots
        self._publisher = publisher
        self._board = board
        self._heartbeat = heartbeat
        self._name = name
        self._queues = list(queues)
        self._pulse_queue = pulse_queue
        self._period = period
        self._lease = lease
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to sweep."""
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, or leave it to the end of the process where it hangs in the network."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._board.draining:
                    # It takes no more work; that its last jobs take long is no fault.
                    self._heartbeat.beat()
                else:
                    self.cycle()
            except Exception:  # noqa: BLE001 - the watchdog sees a worker that only fails
                _log.exception("sweep_failed")
            # Workers that began together come apart.
            self._stopped.wait(self._period * random.uniform(0.75, 1.0))  # noqa: S311 - spreads load
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._line.close()
        self._publisher.close()
        self._broker.close()
        self._health.close()

    def cycle(self) -> None:
        """Take back what dead workers held, ring for what waits, and prove that this worker consumes."""
        due = self._look()
        answers = self._ring(due or {})
        busy = self._board.all_live(within=self._lease)
        if due is None or not answers or busy:
            # The database or the broker is away, or every child has a job that it provably holds:
            # that no pulse comes back is not the worker's fault then.
            self._heartbeat.beat()
        if answers and busy:
            self._tell()
        if answers and due is not None:
            self._fire()

    def _look(self) -> dict[str, int] | None:
        """Due work by queue, None where the database is away.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is there, but a statement fails.
        """
        kinds = list(known_kinds())
        try:
            for row in self._line.rows(moves.take_back()):
                _log.warning("job_taken_back", extra={"job": str(row.id), "state": row.state})
            return dict(
                tuple(row)
                for row in self._line.rows(moves.due_counts(self._queues, kinds, limit=self._board.children))
            )
        except SQLAlchemyError as error:
            if not is_unavailable(error):
                raise
            _log.warning("sweep_without_database", extra={"error": str(error)})
            return None

    def _ring(self, due: dict[str, int]) -> bool:
        """Ring where due work waits, and send a pulse; False where the broker is away."""
        try:
            for queue, count in due.items():
                wanted = min(count, self._board.children) - self._broker.llen(queue)
                if not all(self._publisher.send(DOORBELL, [queue], queue) for _ in range(wanted)):
                    return False
            if self._broker.llen(self._pulse_queue):
                return True
            if not self._publisher.send(PULSE, [], self._pulse_queue):
                return False
            # The queue of a worker that has gone must not stay for ever.
            self._broker.expire(self._pulse_queue, _PULSE_LIFETIME)
        except RedisError as error:
            _log.warning("sweep_without_broker", extra={"error": repr(error)})
            return False
        return True

    def _tell(self) -> None:
        try:
            write_heartbeat(self._health, WORKER, self._name)
        except RedisError as error:
            _log.warning("heartbeat_not_written", extra={"error": repr(error)})

    def _fire(self) -> None:
        """Answer a trigger that no child was free to take."""
        try:
            waited = self._broker.delete(TICKS)
        except RedisError as error:
            _log.warning("sweep_without_broker", extra={"error": repr(error)})
            return
        if waited:
            self._slots.fire()
