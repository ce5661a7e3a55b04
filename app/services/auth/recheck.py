"""Requests that last longer than what let them in: told when their credential does not stand any more."""

import asyncio
import contextvars
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config.groups import AuthSettings
from app.models.api_key import ApiKey
from app.models.session import Session
from app.services.auth import standing
from app.services.auth.principal import Principal

SOONEST: Final = 0.5
"""Seconds between two questions at least, however short the gate's memory is."""

_log: Final = logging.getLogger(__name__)


class Standing:
    """Whether one such request may go on."""

    __slots__ = ("_holds", "_on_end", "principal")

    def __init__(self, principal: Principal, on_end: Callable[[], None]) -> None:
        self.principal = principal
        self._holds = True
        self._on_end = on_end

    def holds(self) -> bool:
        """Whether it may, as far as is known."""
        return self._holds

    def end(self) -> None:
        """It may not."""
        self._holds = False
        self._on_end()


class Recheck:
    """Asks for all of them together: two queries each ``REVOCATION_SECONDS``, while there are any.

    Args:
        engine: where to ask.
        auth: how often.
    """

    def __init__(self, engine: AsyncEngine, auth: AuthSettings) -> None:
        self._engine = engine
        self._period = max(auth.revocation_seconds, SOONEST)
        self._open: set[Standing] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def hold(self, principal: Principal, on_end: Callable[[], None]) -> Iterator[Standing]:
        """Ask for this principal meanwhile; ``on_end`` is called once it has gone, or is another."""
        held = Standing(principal, on_end)
        self._open.add(held)
        if self._task is None or self._task.done():
            # Its own context: not that of the request which happens to be the first.
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name="recheck", context=contextvars.Context()
            )
        try:
            yield held
        finally:
            self._open.discard(held)

    async def aclose(self) -> None:
        """Ask no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while self._open:
            await asyncio.sleep(self._period)
            asked = list(self._open)
            try:
                stand = await self._stand({held.principal for held in asked})
            except (SQLAlchemyError, OSError) as error:
                # Nothing is told meanwhile either: what they wait for is in the same database.
                _log.warning("standing_not_read", extra={"error": str(error)})
                continue
            for held in asked:
                if held.principal not in stand:
                    held.end()

    async def _stand(self, principals: Iterable[Principal]) -> set[Principal]:
        """Those who still come in, with the same rights as before."""
        by_session = {who.session_id for who in principals if who.session_id}
        by_key = {who.api_key_id for who in principals if who.api_key_id}
        found = await self._rows(standing.sessions().where(Session.id.in_(by_session)), by_session)
        keys = await self._rows(standing.api_keys().where(ApiKey.id.in_(by_key)), by_key)
        return {*map(standing.by_session, found), *map(standing.by_api_key, keys)}

    async def _rows(self, query: Select[*tuple[Any, ...]], wanted: set[uuid.UUID]) -> list[Any]:
        if not wanted:
            return []
        async with self._engine.connect() as connection:
            return list(await connection.execute(query))
