"""Hearing what PostgreSQL tells (NOTIFY): one connection, opened anew whenever it broke."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final, NoReturn

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from app.core.config.groups import DatabaseSettings
from app.core.database import KEEPALIVE, direct_url

_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 10.0

_log: Final = logging.getLogger(__name__)


class Listener:
    """Listens on one channel, for as long as ``run`` runs.

    What is told while the connection is away is lost: whoever listens reads anew at each opening.

    Args:
        database: where. A pooler that lends connections by the transaction cannot pass on what is told:
            there the direct address is needed.
        channel: what for.
        on_open: called once it listens, each time.
        on_notice: called with what was told.
    """

    def __init__(
        self,
        database: DatabaseSettings,
        channel: str,
        *,
        on_open: Callable[[], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self._address = make_conninfo(
            direct_url(database).set(drivername="postgresql").render_as_string(hide_password=False),
            connect_timeout=database.connect_timeout,
            application_name=channel.replace("_", "-"),
            **KEEPALIVE,
        )
        self._channel = channel
        self._on_open = on_open
        self._on_notice = on_notice
        self.is_open = False

    async def run(self) -> NoReturn:
        """Listen until cancelled."""
        failures = 0
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                failures = 1 if self.is_open else failures + 1
                if failures == 1:
                    _log.warning("listening_broke", extra={"channel": self._channel, "error": str(error)})
            finally:
                self.is_open = False
            await asyncio.sleep(_wait(failures))

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._address, autocommit=True)
        try:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self.is_open = True
            self._on_open()
            async for notice in connection.notifies():
                self._on_notice(notice.payload)
        finally:
            await connection.close()


def _wait(failures: int) -> float:
    """Longer each time, and at random, so that processes which lost one server come apart."""
    longest = min(_FIRST_WAIT * 2.0 ** min(failures, 16), _LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
