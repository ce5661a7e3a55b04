"""The Redis client."""

from pathlib import Path

import pytest

from app.core.redis import create_redis
from tests.configuration import make_settings


@pytest.mark.parametrize("address", ["redis://localhost", "rediss://localhost", "unix:///run/redis.sock"])
async def test_every_kind_of_address_makes_a_connection(tmp_path: Path, address: str) -> None:
    client = create_redis(make_settings(tmp_path, "postgresql://h/d", address, REDIS_TIMEOUT="1.5").redis)
    connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis has no types here
    assert connection.socket_timeout == 1.5
    await client.aclose()
