"""Listening to PostgreSQL, whatever happens to the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import AppSettings
from app.core.config.groups import DatabaseSettings
from app.core.listening import Listener
from tests.configuration import make_settings
from tests.servers import DEADLINE
from tests.serving import Cable

CHANNEL = "holdfast_test"
OURS = "FROM pg_stat_activity WHERE application_name = 'holdfast-test' AND datname = current_database()"


class Heard:
    """A listener at work, and what it heard."""

    def __init__(self, database: DatabaseSettings) -> None:
        self.opened: asyncio.Queue[None] = asyncio.Queue()
        self.notices: asyncio.Queue[str] = asyncio.Queue()
        self.listener = Listener(
            database,
            CHANNEL,
            on_open=lambda: self.opened.put_nowait(None),
            on_notice=self.notices.put_nowait,
        )

    async def open(self) -> None:
        await asyncio.wait_for(self.opened.get(), DEADLINE)

    async def notice(self) -> str:
        return await asyncio.wait_for(self.notices.get(), DEADLINE)


@asynccontextmanager
async def listening(database: DatabaseSettings) -> AsyncIterator[Heard]:
    heard = Heard(database)
    task = asyncio.create_task(heard.listener.run())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])


async def tell(engine: AsyncEngine, words: str) -> None:
    async with engine.connect() as connection:
        await connection.execute(
            text("SELECT pg_notify(:channel, :words)"), {"channel": CHANNEL, "words": words}
        )
        await connection.commit()


async def count(engine: AsyncEngine) -> int:
    query = "SELECT count(*) " + OURS
    async with engine.connect() as connection:
        return int((await connection.execute(text(query))).scalar_one())


async def test_what_is_told_is_heard(settings: AppSettings, engine: AsyncEngine) -> None:
    async with listening(settings.database) as heard:
        await heard.open()
        await tell(engine, "one")
        await tell(engine, "two")
        assert [await heard.notice(), await heard.notice()] == ["one", "two"]


async def test_a_connection_that_was_ended_is_opened_again(
    settings: AppSettings, engine: AsyncEngine
) -> None:
    async with listening(settings.database) as heard:
        await heard.open()
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pid) " + OURS))
        await heard.open()
        await tell(engine, "again")
        assert await heard.notice() == "again"


async def test_a_server_that_is_away_is_waited_for(
    settings: AppSettings, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    address = settings.database.url.get_secret_value()
    cable = Cable(address)
    await cable.mend()
    await cable.cut()
    away = make_settings(settings.state_dir, cable.through(address), settings.redis.url.get_secret_value())
    async with listening(away.database) as heard:
        while not caplog.records:
            await asyncio.sleep(0.02)
        assert not heard.listener.is_open
        await cable.mend()
        await heard.open()
        await tell(engine, "back")
        assert await heard.notice() == "back"
    await cable.cut()
    assert [record.message for record in caplog.records] == ["listening_broke"], (
        "said once, however often tried"
    )


async def test_the_direct_address_is_used_where_there_is_one(
    settings: AppSettings, engine: AsyncEngine
) -> None:
    database = settings.database
    pooled = make_settings(
        settings.state_dir,
        "postgresql://u:p@127.0.0.1:1/pooler",
        settings.redis.url.get_secret_value(),
        DATABASE_DIRECT_URL=database.url.get_secret_value(),
    )
    async with listening(pooled.database) as heard:
        await heard.open()
        await tell(engine, "past the pooler")
        assert await heard.notice() == "past the pooler"


async def test_the_connection_is_closed_at_the_end(settings: AppSettings, engine: AsyncEngine) -> None:
    async with listening(settings.database) as heard:
        await heard.open()
        assert await count(engine) == 1
    while await count(engine):
        await asyncio.sleep(0.02)
