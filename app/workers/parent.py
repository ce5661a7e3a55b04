"""What a worker's parent does beside Celery: the shared board, the sweep, and a stop that loses no time."""

import gc
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from celery import bootsteps, signals

from app.celery_app import QUEUES, celery_app, direct_queue
from app.core import config
from app.core.heartbeat import Heartbeat
from app.services.publisher import Publisher
from app.workers import board as boards
from app.workers.blocking import Line
from app.workers.board import Board
from app.workers.broker import broker_client
from app.workers.slots import Slots
from app.workers.sweep import Sweep

_POLL: Final = 0.05


def pulse_queue(node: str) -> str:
    """The queue that one worker alone consumes."""
    return f"holdfast.pulse.{node}"


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]  # Celery has no types
def consume_pulses(sender: str, instance: Any, **_kwargs: object) -> None:
    """Let a worker consume its own pulses beside the queues that it was told to."""
    instance.app.amqp.queues.select_add(direct_queue(pulse_queue(sender)))


@signals.worker_before_create_process.connect  # type: ignore[untyped-decorator]  # Celery has no types
def share_memory(**_kwargs: object) -> None:
    """Keep what the parent holds out of its children's collector, which would copy each page it looks at."""
    gc.collect()
    gc.freeze()


class BoardStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Makes the shared memory before the pool forks."""

    requires = ("celery.worker.components:Hub",)

    def create(self, parent: Any) -> None:
        """Called by Celery while it sets the worker up."""
        boards.share(parent.concurrency)


class SweepStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Sweeps from the moment that the children are there, with or without a broker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._sweep: Sweep | None = None

    def start(self, parent: Any) -> None:
        """Called by Celery in the parent's main thread, after its own signal handlers were set."""
        settings = config.settings
        board = boards.shared()
        self._sweep = Sweep(
            Line(settings.database, name="holdfast-sweep"),
            broker_client(settings.broker_url),
            Publisher(celery_app),
            board,
            Heartbeat.from_environment(),
            health=broker_client(settings.redis.url.get_secret_value()),
            slots=Slots(settings.database),
            name=parent.hostname,
            queues=[name for name in QUEUES if name in parent.app.amqp.queues.consume_from],
            pulse_queue=pulse_queue(parent.hostname),
            period=settings.jobs.sweep_seconds,
            lease=settings.jobs.lease_seconds,
        )
        self._sweep.start()
        stop_in_order(board, parent.app)

    def stop(self, _parent: Any) -> None:
        """Called by Celery before the pool waits for its last jobs; the sweep beats until they have ended."""
        boards.shared().drain()
        signals.worker_shutdown.connect(self.terminate, weak=False)

    def terminate(self, _parent: Any = None, **_kwargs: object) -> None:
        """Called by Celery when the worker ends at once, or has ended."""
        signals.worker_shutdown.disconnect(self.terminate)
        if self._sweep is not None:
            self._sweep.stop()


def stop_in_order(board: Board, app: Any) -> None:
    """Put the draining of the board before Celery's own handlers.

    On SIGQUIT children finish the job at hand within the soft timeout; Celery alone would let them take more
    jobs in that time, and would always wait the whole of it.
    """
    for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _draining(board, app, number, signal.getsignal(number)))


def _draining(board: Board, app: Any, number: int, then: Any) -> Callable[[int, FrameType | None], None]:
    def handle(given: int, frame: FrameType | None) -> None:
        board.drain()
        if number == signal.SIGQUIT:
            wait_until_idle(board, float(app.conf.worker_soft_shutdown_timeout))
            app.conf.worker_soft_shutdown_timeout = 0.0
        if callable(then):
            then(given, frame)

    return handle


def wait_until_idle(board: Board, seconds: float) -> None:
    """Wait for the children's jobs, for so many seconds at most."""
    end = time.monotonic() + seconds
    while board.serving() and time.monotonic() < end:
        time.sleep(_POLL)


celery_app.steps["worker"].update({BoardStep, SweepStep})
