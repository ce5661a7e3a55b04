"""Fires the slots of schedules from a thread that has an event loop of its own."""

import asyncio
import contextvars
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.core import context
from app.core.config.groups import DatabaseSettings
from app.core.database import create_engine, create_sessions, is_unavailable, transaction
from app.services.schedules import all_schedules, fire_due_slots
from app.workers.blocking import TIMEOUT

_log: Final = logging.getLogger(__name__)


class Slots:
    """For one thread. Opens its one connection when there is something to fire, and closes it after that."""

    def __init__(self, database: DatabaseSettings) -> None:
        self._database = database

    def fire(self) -> None:
        """Fire all due slots, within seconds; the next trigger makes up for a fault."""
        with context.bound(context.request_id, context.new_request_id()):
            try:
                with asyncio.Runner() as runner:
                    runner.run(self._fire(), context=contextvars.copy_context())
            except (SQLAlchemyError, OSError) as error:
                if not is_unavailable(error) and not isinstance(error, TimeoutError):
                    raise
                _log.warning("slots_not_fired", extra={"error": repr(error)})

    async def _fire(self) -> None:
        # Nobody is rung for: the sweep, which asked for this, finds the jobs in its next round.
        engine = create_engine(self._database, pool_size=1, name="holdfast-slots")
        try:
            async with asyncio.timeout(TIMEOUT), transaction(create_sessions(engine)) as session:
                await fire_due_slots(session, all_schedules())
        finally:
            await engine.dispose()
