"""The engine (P3, T4)."""

import asyncio

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from app.core import context
from app.core.config import AppSettings, Role
from app.core.database import (
    Sessions,
    check_pool_budget,
    create_engine,
    is_unavailable,
    ping,
    pool_budget,
    reading,
    transaction,
)
from tests.configuration import make_settings
from tests.serving import NOBODY


async def scalar(engine: AsyncEngine, statement: str) -> object:
    async with engine.connect() as connection:
        return (await connection.execute(text(statement))).scalar_one()


async def test_statements_end_in_bounded_time(settings: AppSettings) -> None:
    bounds = {"statement_timeout": 15.0, "idle_in_transaction_timeout": 30.0}
    engine = create_engine(settings.database.model_copy(update=bounds))
    assert await scalar(engine, "SHOW statement_timeout") == "15s"
    assert await scalar(engine, "SHOW idle_in_transaction_session_timeout") == "30s"
    await engine.dispose()


async def test_p3_the_pool_has_twenty_connections_and_no_overflow(
    settings: AppSettings, tmp_path: object
) -> None:
    assert type(settings.database)(url="postgresql://h/db").pool_size == 20
    assert type(settings.database)(url="postgresql://h/db").max_overflow == 0


async def test_p3_a_connection_that_died_is_replaced_on_checkout(engine: AsyncEngine) -> None:
    pid = await scalar(engine, "SELECT pg_backend_pid()")
    other = create_engine_like(engine)
    assert await scalar(other, f"SELECT pg_terminate_backend({pid}, 15000)"), "it is gone"
    await other.dispose()
    assert await scalar(engine, "SELECT 1") == 1


def create_engine_like(engine: AsyncEngine) -> AsyncEngine:
    return create_async_engine(engine.url, pool_size=1)


async def test_the_request_id_stands_in_the_statement(engine: AsyncEngine) -> None:
    with context.bound(context.request_id, "r-77"):
        seen = await scalar(engine, "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    assert str(seen).endswith("/* request_id=r-77 */")


async def test_a_transaction_commits_at_its_end_and_rolls_back_on_an_error(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        await session.execute(text("CREATE TABLE kept (n int)"))
    with pytest.raises(KeyError):
        await insert_and_fail(sessions)
    async with sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM kept"))).scalar_one() == 0


async def insert_and_fail(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        await session.execute(text("INSERT INTO kept VALUES (1)"))
        raise KeyError


async def test_pools_that_do_not_fit_the_server_are_told(engine: AsyncEngine, settings: AppSettings) -> None:
    assert await check_pool_budget(engine, settings) is None
    wide = settings.model_copy(update={"database": settings.database.model_copy(update={"pool_size": 400})})
    assert "max_connections" in str(await check_pool_budget(engine, wide))
    assert pool_budget(wide) > 800


async def test_a_server_that_is_away_is_told_from_a_wrong_statement(
    settings: AppSettings, engine: AsyncEngine
) -> None:
    away = make_settings(settings.state_dir, f"postgresql://u:p@{NOBODY}/x", "redis://localhost")
    gone = create_engine(away.database)
    with pytest.raises(OperationalError) as caught:
        await ping(gone)
    assert is_unavailable(caught.value)
    with pytest.raises(ProgrammingError) as wrong:
        await scalar(engine, "SELECT nothing")
    assert not is_unavailable(wrong.value)
    await gone.dispose()


async def test_a_slow_statement_is_not_an_absent_server(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SET statement_timeout = 50"))
        with pytest.raises(OperationalError) as caught:
            await connection.execute(text("SELECT pg_sleep(5)"))
    assert not is_unavailable(caught.value)


async def test_who_is_cancelled_while_a_connection_is_prepared_leaves_none_behind(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.AsyncConnection, "set_autocommit", cancelled)
        with pytest.raises(asyncio.CancelledError) as told:
            await reading(engine).connect()
    # Not as late as the error and what it holds are forgotten.
    assert told.value is not None
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedout() == 0
    async with reading(engine).connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        assert driver.autocommit


async def test_what_people_wrote_does_not_stand_in_errors(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(ProgrammingError) as caught:
            await connection.execute(text("SELECT nothing WHERE :word = 'x'"), {"word": "personal"})
    assert "personal" not in str(caught.value)


def test_the_budget_counts_the_programs_of_the_role(settings: AppSettings) -> None:
    def with_role(role: Role) -> AppSettings:
        return settings.model_copy(update={"server": settings.server.model_copy(update={"role": role})})

    assert pool_budget(with_role(Role.ALL)) == sum(
        pool_budget(with_role(role)) for role in (Role.API, Role.WORKER)
    )
    assert pool_budget(with_role(Role.BEAT)) == 0
