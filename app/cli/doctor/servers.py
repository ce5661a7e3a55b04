"""PostgreSQL and Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.cli.accounts import HOW
from app.cli.doctor.finding import Finding
from app.cli.storage import summary
from app.core.commands import command, program
from app.core.config import AppSettings, given_values
from app.core.database import ENCODING, check_pool_budget, create_engine, create_sessions, transaction
from app.core.redis import create_redis
from app.core.schema import RECODE
from app.services.auth import administrators
from app.services.media.usage import last_report
from app.supervision import control
from app.supervision.state import State


def servers(settings: AppSettings) -> Iterator[Finding]:
    """What answers, of what should."""
    given = given_values()
    state = State.chosen(given)
    embedded = state.embedded_servers(given)
    running = control.running_pid(state) is not None
    if running or "postgres" not in embedded:
        yield from asyncio.run(database(settings))
    if running or "redis" not in embedded:
        yield asyncio.run(_redis(settings))


async def database(settings: AppSettings) -> list[Finding]:
    """PostgreSQL, and what is in it."""
    engine = create_engine(settings.database, pool_size=1, name="holdfast doctor")
    try:
        async with engine.connect() as connection:
            findings = [finding async for finding in _server(connection)]
        if problem := await check_pool_budget(engine, settings):
            findings.append(Finding("connection pools", "do not fit the server", problem))
        return [*findings, await _administrator(engine), *await _sweep(engine)]
    except (SQLAlchemyError, OSError) as error:
        said = type(getattr(error, "orig", None) or error).__name__
        return [Finding("PostgreSQL", f"does not answer ({said})", "start it, or correct DATABASE_URL")]
    finally:
        await engine.dispose()


async def _server(connection: AsyncConnection) -> AsyncIterator[Finding]:
    async def asked(statement: str) -> Any:
        return (await connection.execute(text(statement))).scalar_one()

    yield Finding("PostgreSQL", f"version {await asked('SHOW server_version')} answers")
    if not await asked("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"):
        fix = "install the package postgresql-<version>-pgvector on the server"
        yield Finding("pgvector", "is not available on the server", fix)
    if (encoding := await asked("SHOW server_encoding")) != ENCODING:
        yield Finding("encoding", f"of the database is {encoding}", RECODE)


async def _administrator(engine: AsyncEngine) -> Finding:
    try:
        async with transaction(create_sessions(engine)) as session:
            there = await administrators.is_there(session)
    except ProgrammingError:
        return Finding("database", "is not migrated", f"run {program('migrate')}, or {command('up')}")
    return (
        Finding("administrator", "there is one") if there else Finding("administrator", "there is none", HOW)
    )


async def _sweep(engine: AsyncEngine) -> list[Finding]:
    """What the last sweep found, where there was one and it found something."""
    try:
        async with transaction(create_sessions(engine)) as session:
            report = await last_report(session)
    except ProgrammingError:
        return []
    if report is None or not report.disagrees:
        return []
    said = f"{summary(report)} (sweep of {report.finished_at:%Y-%m-%d %H:%M} UTC)"
    return [Finding("stored files", said, f"{program('storage')} names them: restore them from a backup")]


async def _redis(settings: AppSettings) -> Finding:
    client = create_redis(settings.redis)
    try:
        version = (await client.info("server"))["redis_version"]
        return Finding("Redis", f"version {version} answers")
    except (RedisError, OSError) as error:
        return Finding("Redis", f"does not answer ({type(error).__name__})", "start it, or correct REDIS_URL")
    finally:
        await client.aclose()
