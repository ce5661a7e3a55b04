"""The doorbell: a message that says which queue has work. What is lost or doubled of them does not matter."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from celery import Task
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.celery_app import DOORBELL, PULSE, TICK, celery_app
from app.core.database import is_unavailable
from app.core.heartbeat import Heartbeat
from app.services.heartbeats import WORKER, write_heartbeat
from app.services.schedules import all_schedules, fire_due_slots
from app.services.unit_of_work import unit_of_work
from app.workers import runtime
from app.workers.runtime import Runtime

_log = logging.getLogger(__name__)


@celery_app.task(name=DOORBELL)  # type: ignore[untyped-decorator]  # Celery has no types
def doorbell(queue: str) -> None:
    """Run the due jobs of a queue."""
    child = runtime.current()
    try:
        with _gives_back_on_stop(child), _without_database():
            child.run(child.executor.serve(queue, goes_on=child.goes_on))
    finally:
        child.board.idle(child.child)


@contextmanager
def _without_database() -> Iterator[None]:
    """Say in one line that the database is away; the sweep rings again after its return."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        if not is_unavailable(error):
            raise
        _log.warning("database_away", extra={"error": str(error)})


@contextmanager
def _gives_back_on_stop(child: Runtime) -> Iterator[None]:
    """Meanwhile, the signal that ends this process interrupts the job instead, which is given back first."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        child.keeper.stop()

    # The pool sets its own handlers after a child's start, so ours stands around the work alone.
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@celery_app.task(name=TICK)  # type: ignore[untyped-decorator]  # Celery has no types
def tick() -> None:
    """Fire the slots of all schedules that are due."""
    child = runtime.current()
    with _without_database():
        child.run(_fire(child))


async def _fire(child: Runtime) -> None:
    async with unit_of_work(child.sessions, child.doorbell) as session:
        await fire_due_slots(session, all_schedules())


@celery_app.task(name=PULSE, bind=True)  # type: ignore[untyped-decorator]  # Celery has no types
def pulse(self: "Task[Any, Any]") -> None:
    """Prove that this worker consumes: touch its heartbeat file, and tell those who ask for its health."""
    Heartbeat.from_environment().beat()
    with suppress(RedisError):
        write_heartbeat(runtime.current().redis, WORKER, str(self.request.hostname))
