"""PostgreSQL and Redis."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from app.core.commands import command
from app.core.config.fields import Env, Group, PostgresUrl, RedisUrl
from app.core.config.groups.units import Seconds


class DatabaseSettings(Group):
    """PostgreSQL and the pool of each process."""

    url: Annotated[PostgresUrl, Env("DATABASE_URL")] = Field(
        description="a PostgreSQL address such as postgresql://USER:PASSWORD@HOST:5432/NAME, "
        f"or {command('up')}"
    )
    direct_url: Annotated[PostgresUrl | None, Env("DATABASE_DIRECT_URL")] = Field(
        None, description="the server's own address, where DATABASE_URL is that of a pooler"
    )
    ssl_mode: Annotated[
        Literal["disable", "prefer", "require", "verify-ca", "verify-full"] | None, Env("DATABASE_SSL_MODE")
    ] = Field(None, description="disable, prefer, require, verify-ca or verify-full, as libpq means them")
    ssl_root_cert: Annotated[Path | None, Env("DATABASE_SSL_ROOT_CERT")] = Field(
        None, description="a file of the authorities' certificates in PEM, for verify-ca and verify-full"
    )
    pool_size: Annotated[PositiveInt, Env("DATABASE_POOL_SIZE", "DB_POOL_SIZE")] = Field(
        20, le=500, description="connections of an API process, 1 to 500"
    )
    max_overflow: Annotated[int, Env("DATABASE_MAX_OVERFLOW", "DB_MAX_OVERFLOW")] = Field(
        0, ge=0, le=500, description="connections beyond the pool, 0 to 500"
    )
    worker_pool_size: Annotated[PositiveInt, Env("DATABASE_WORKER_POOL_SIZE")] = Field(
        3, le=100, description="connections of a worker process, 1 to 100"
    )
    pool_timeout: Annotated[Seconds, Env("DATABASE_POOL_TIMEOUT")] = Field(
        3.0, description="seconds to wait for a free connection"
    )
    connect_timeout: Annotated[PositiveInt, Env("DATABASE_CONNECT_TIMEOUT")] = Field(
        3, description="whole seconds to wait for the server"
    )
    statement_timeout: Annotated[Seconds, Env("DATABASE_STATEMENT_TIMEOUT")] = Field(
        15.0, description="seconds that one statement may take"
    )
    idle_in_transaction_timeout: Annotated[Seconds, Env("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT")] = Field(
        30.0, description="seconds that a transaction may stay idle"
    )
    lock_timeout: Annotated[Seconds, Env("DATABASE_MIGRATION_LOCK_TIMEOUT")] = Field(
        5.0, description="seconds that a migration waits for a lock before it tries again"
    )


class RedisSettings(Group):
    """Redis: the broker's doorbell, heartbeats and limits; nothing that may not be lost."""

    url: Annotated[RedisUrl, Env("REDIS_URL")] = Field(
        description=f"a Redis address such as redis://:PASSWORD@HOST:6379/0, or {command('up')}"
    )
    timeout: Annotated[Seconds, Env("REDIS_TIMEOUT")] = Field(
        1.0, description="seconds that one command or connection of the API may take"
    )
