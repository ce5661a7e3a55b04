"""The PostgreSQL engine: pool, timeouts and the check that all pools fit the server."""

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from psycopg.pq import ConnStatus
from pydantic import SecretStr
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.core import context
from app.core.config import AppSettings, Role
from app.core.config.groups import DatabaseSettings

RESERVED_CONNECTIONS: Final = 5
"""Connections left for people, backups and migrations beside all pools."""

OUR_FAULTS: Final = ("40", "55P03", "57014")
"""SQLSTATEs of deadlocks, locks and slow statements, with which the server is not away."""

UNREACHABLE: Final = ("08", "53300", "57P01", "57P02", "57P03")
"""SQLSTATEs of connections that are lost or not taken just now: broken, too many, stopping, starting."""

KEEPALIVE: Final = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""How a server that vanished without a word is found in seconds; queries may take longer."""

ENCODING: Final = "UTF8"
"""Of every connection, and of every database that can hold what people write."""

Sessions = async_sessionmaker[AsyncSession]


def address(database: DatabaseSettings) -> URL:
    """Where pools connect to, with what the settings say of TLS over what the address says itself."""
    return _completed(database.url, database)


def direct_url(database: DatabaseSettings) -> URL:
    """The address for a single connection outside any pool, this process's own or a pooler's."""
    return _completed(database.direct_url or database.url, database)


def _completed(url: SecretStr, database: DatabaseSettings) -> URL:
    given = {"sslmode": database.ssl_mode, "sslrootcert": database.ssl_root_cert}
    query = {name: str(value) for name, value in given.items() if value is not None}
    # Of a server of no encoding at all (SQL_ASCII) the driver would give bytes for every text.
    query["client_encoding"] = ENCODING
    return make_url(url.get_secret_value()).update_query_dict(query)


def create_engine(
    database: DatabaseSettings, *, pool_size: int | None = None, name: str = "holdfast"
) -> AsyncEngine:
    """An engine whose connections are checked on checkout and whose statements end in bounded time.

    Args:
        database: address and limits.
        pool_size: connections of this process; the setting of an API process where it is not given.
        name: the ``application_name`` that the server shows.
    """
    engine = create_async_engine(
        address(database),
        pool_size=pool_size or database.pool_size,
        max_overflow=database.max_overflow if pool_size is None else 0,
        hide_parameters=True,
        pool_timeout=database.pool_timeout,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": database.connect_timeout,
            "application_name": name,
            **KEEPALIVE,
            "options": (
                f"-c statement_timeout={int(database.statement_timeout * 1000)}"
                f" -c idle_in_transaction_session_timeout={int(database.idle_in_transaction_timeout * 1000)}"
                " -c timezone=UTC"
            ),
        },
    )
    event.listen(engine.sync_engine, "before_cursor_execute", _name_the_request, retval=True)
    event.listen(engine.sync_engine, "checkout", _see_that_it_lives)
    return engine


def _name_the_request(
    _connection: Any, _cursor: DBAPICursor, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    # The id is of [A-Za-z0-9._-] only (core.context), so that it cannot end the comment.
    request_id = context.request_id.get()
    return (f"{statement} /* request_id={request_id} */" if request_id else statement), parameters


def _see_that_it_lives(connection: Any, _record: object, _proxy: object) -> None:
    """Replace a connection whose server has gone.

    A server that ends says so, and closes: then something can be read of a connection that nobody uses. To
    see that costs microseconds, where a ping is a trip to the server at each request.
    """
    driver = connection.driver_connection
    if driver.closed or driver.pgconn.status != ConnStatus.OK or _can_read(driver.pgconn.socket):
        raise InvalidatePoolError


def _can_read(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLPRI)
    return bool(poll.poll(0))


def create_sessions(engine: AsyncEngine) -> Sessions:
    """The factory of sessions; objects stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


def reading(engine: AsyncEngine) -> AsyncEngine:
    """The same pool for who only reads: each statement stands alone, as it would in READ COMMITTED.

    Without a transaction to begin and to end, a query is one trip to the server and not three.
    """
    reader = engine.execution_options()
    event.listen(reader.sync_engine, "engine_connect", _let_commit_itself)
    return reader


def _let_commit_itself(connection: Connection) -> None:
    try:
        connection.execution_options(isolation_level="AUTOCOMMIT")
    except BaseException as error:
        # Who is cancelled here has not been given the connection yet, and nobody else would give it back.
        connection.invalidate(error)
        connection.close()
        raise


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """A session whose one transaction commits at the end, or rolls back with the error."""
    async with sessions() as session, session.begin():
        yield session


async def ping(engine: AsyncEngine) -> None:
    """One trip to the server.

    Raises:
        SQLAlchemyError: the server did not answer.
    """
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


def is_unavailable(error: BaseException) -> bool:
    """Whether an error says that the server or the pool is away, and not that the statement was wrong."""
    if isinstance(error, PoolTimeoutError | OperationalError | InterfaceError):
        return not str(getattr(getattr(error, "orig", None), "sqlstate", None) or "").startswith(OUR_FAULTS)
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_unreachable(error: DBAPIError) -> bool:
    """Whether a connection could not be made or was lost, and not that a statement failed on one.

    libpq tells no SQLSTATE of a connection that it could not make, be it that nobody listens or that the
    password is wrong.
    """
    state = getattr(error.orig, "sqlstate", None)
    return isinstance(error, OperationalError) and (not state or state.startswith(UNREACHABLE))


def pool_budget(settings: AppSettings) -> int:
    """Connections that all processes of one container may hold at once."""
    database = settings.database
    # Health asks over a connection of its own, so that a busy pool is not taken for an absent server, and
    # one listens for the events of jobs.
    api = settings.server.api_processes * (database.pool_size + database.max_overflow + 2)
    # Each child holds a small pool and the connection that keeps its lease, the parent one to sweep and
    # one to fire schedules.
    worker = settings.celery.worker_concurrency * (database.worker_pool_size + 1) + 2
    by_role = {Role.ALL: api + worker, Role.API: api, Role.WORKER: worker, Role.BEAT: 0}
    return by_role[settings.server.role]


async def check_pool_budget(engine: AsyncEngine, settings: AppSettings) -> str | None:
    """What is wrong between the pools and the server's ``max_connections``, or None where they fit."""
    async with engine.connect() as connection:
        limit = int((await connection.execute(text("SHOW max_connections"))).scalar_one())
    needed = pool_budget(settings) + RESERVED_CONNECTIONS
    if needed <= limit:
        return None
    return (
        f"all pools together may open {needed} connections, the server allows {limit}: "
        "lower DATABASE_POOL_SIZE, API_PROCESSES or WORKER_CONCURRENCY, or raise max_connections"
    )
