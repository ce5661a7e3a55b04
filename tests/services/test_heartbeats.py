"""Heartbeats in Redis: who completed a cycle lately."""

from datetime import UTC, datetime, timedelta

from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from app.core.config import AppSettings
from app.services.heartbeats import BEAT, KEY, LIFETIME, WORKER, read_heartbeats, write_heartbeat
from app.workers.broker import broker_client


def client(settings: AppSettings) -> BlockingRedis:
    return broker_client(settings.redis.url.get_secret_value())


async def test_a_completed_cycle_is_told_with_its_time(settings: AppSettings, redis: Redis) -> None:
    writer = client(settings)
    write_heartbeat(writer, WORKER, "worker@here")
    write_heartbeat(writer, BEAT, "here/1")
    writer.close()
    told = {(beat.kind, beat.name): beat.completed_at for beat in await read_heartbeats(redis)}
    assert set(told) == {(WORKER, "worker@here"), (BEAT, "here/1")}
    assert all(abs(datetime.now(UTC) - at) < timedelta(minutes=1) for at in told.values())


async def test_what_is_not_renewed_is_forgotten(settings: AppSettings, redis: Redis) -> None:
    writer = client(settings)
    write_heartbeat(writer, WORKER, "gone")
    seconds, _ = await redis.time()
    await redis.zadd(KEY, {'["worker", "gone"]': int(seconds) - LIFETIME - 2})
    assert await read_heartbeats(redis) == []
    write_heartbeat(writer, WORKER, "here")
    writer.close()
    assert await redis.zcard(KEY) == 1


async def test_nothing_stays_for_ever(settings: AppSettings, redis: Redis) -> None:
    writer = client(settings)
    write_heartbeat(writer, WORKER, "here")
    writer.close()
    assert 0 < await redis.ttl(KEY) <= LIFETIME


async def test_without_heartbeats_nobody_is_told_of(redis: Redis) -> None:
    assert await read_heartbeats(redis) == []
