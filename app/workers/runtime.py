"""What a worker's child works with: an engine and an event loop of its own, made after the fork."""

import asyncio
import contextvars
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from billiard import current_process
from celery import Celery, signals

from app.celery_app import celery_app
from app.core import config
from app.core.config import AppSettings
from app.core.database import create_engine, create_sessions
from app.services.jobs import Doorbell
from app.workers import board as boards
from app.workers.blocking import Line
from app.workers.board import Board
from app.workers.broker import broker_client
from app.workers.execution import Executor
from app.workers.keeper import Keeper

T = TypeVar("T")


class Runtime:
    """The connections and the event loop of one child. Opens its connections when they are needed."""

    def __init__(self, settings: AppSettings, celery: Celery, board: Board, child: int) -> None:
        self.settings = settings
        self.board = board
        self.child = child
        # One connection belongs to the keeper, two at least are for the job: it may read while it writes.
        size = max(2, settings.database.worker_pool_size - 1)
        self.engine = create_engine(settings.database, pool_size=size, name="holdfast-worker")
        self.sessions = create_sessions(self.engine)
        self.doorbell = Doorbell(celery)
        self.redis = broker_client(settings.redis.url.get_secret_value())
        self.keeper = Keeper(
            Line(settings.database, name="holdfast-keeper"),
            lease=settings.jobs.lease_seconds,
            cancel_grace=settings.jobs.cancel_grace,
            on_proof=lambda: board.live(child),
        )
        self.executor = Executor(
            settings,
            self.engine,
            self.sessions,
            self.doorbell,
            self.keeper,
            worker=f"{os.uname().nodename}/{os.getpid()}",
        )
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in this child's event loop, which stays open for the next."""
        # The runner by itself would use the context of its first run for all others.
        return self._runner.run(work, context=contextvars.copy_context())

    def goes_on(self) -> bool:
        """Whether this child may take another job; also the proof that it is alive between two."""
        self.board.live(self.child)
        return not (self.board.draining or self.keeper.stopping)

    def close(self) -> None:
        """Close everything; the process ends."""
        self.keeper.close()
        self.doorbell.close()
        self.redis.close()
        self._runner.run(self.engine.dispose())
        self._runner.close()


_runtime: Runtime | None = None


def current() -> Runtime:
    """This child's runtime."""
    if _runtime is None:
        raise RuntimeError("This process is no child of a worker.")
    return _runtime


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def open_runtime(**_kwargs: object) -> None:
    """Make the runtime of a child that has just been forked."""
    global _runtime  # noqa: PLW0603 - one a process, as Celery gives tasks no other place
    if boards.shared().is_orphaned:
        # Celery has just asked the kernel to kill a child with its parent; that one was dead before it asked.
        os.kill(os.getpid(), signal.SIGKILL)
    child = int(getattr(current_process(), "index", 0))
    _runtime = Runtime(config.settings, celery_app, boards.shared(), child)
    _runtime.board.idle(child)


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]  # Celery has no types
def close_runtime(**_kwargs: object) -> None:
    """Close the runtime of a child that ends in order."""
    global _runtime
    runtime, _runtime = _runtime, None
    if runtime is not None:
        runtime.close()
