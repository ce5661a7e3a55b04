"""The doorbell: after the commit, never in anybody's way."""

import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.celery_app import configuration, create_celery
from app.core import context
from app.core.config import AppSettings
from app.core.database import Sessions
from app.services.jobs import Doorbell, enqueue
from app.services.publisher import Publisher
from app.services.unit_of_work import unit_of_work
from app.supervision.state import free_port
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.servers import redis_server, state_folder
from tests.workers.kinds import Args


def doorbell_of(settings: AppSettings) -> Doorbell:
    return Doorbell(create_celery(lambda: configuration(settings)))


@pytest.fixture
def away(settings: AppSettings, tmp_path: Path) -> AppSettings:
    """Settings whose broker is not there."""
    url = settings.database.url.get_secret_value()
    return make_settings(tmp_path, url, f"redis://127.0.0.1:{free_port()}/0")


async def test_workers_are_told_after_the_commit(
    settings: AppSettings, sessions: Sessions, redis: Redis
) -> None:
    doorbell = doorbell_of(settings)
    async with unit_of_work(sessions, doorbell) as session:
        await enqueue(session, "test.effect", Args(), owner_id=OWNER)
        assert await redis.llen("default") == 0
    await doorbell.aclose()
    assert await redis.llen("default") == 1


async def test_nobody_is_told_of_what_was_rolled_back(
    settings: AppSettings, sessions: Sessions, redis: Redis
) -> None:
    doorbell = doorbell_of(settings)

    async def request() -> None:
        async with unit_of_work(sessions, doorbell) as session:
            await enqueue(session, "test.effect", Args(), owner_id=OWNER)
            raise RuntimeError("the request fails")

    with pytest.raises(RuntimeError, match="the request fails"):
        await request()
    await doorbell.aclose()
    assert await redis.llen("default") == 0


async def test_the_message_names_the_queue_and_carries_the_request_id(
    settings: AppSettings, redis: Redis
) -> None:
    doorbell = doorbell_of(settings)
    with context.bound(context.request_id, "the-request"):
        doorbell.ring(["media"])
    await doorbell.aclose()
    message = str(await redis.lindex("media", 0))
    assert '"request_id": "the-request"' in message
    assert "holdfast.doorbell" in message


async def test_rings_in_a_row_are_joined(settings: AppSettings, redis: Redis) -> None:
    doorbell = doorbell_of(settings)
    for _ in range(200):
        doorbell.ring(["default"])
    await doorbell.aclose()
    assert 1 <= await redis.llen("default") < 200


async def test_a_closed_doorbell_is_silent(settings: AppSettings, redis: Redis) -> None:
    doorbell = doorbell_of(settings)
    await doorbell.aclose()
    doorbell.ring(["default"])
    assert await redis.llen("default") == 0


async def test_without_a_broker_a_job_is_accepted_all_the_same(away: AppSettings, sessions: Sessions) -> None:
    """Bounded by the one second that closing waits, here with a generous margin for a busy machine."""
    doorbell, began = doorbell_of(away), time.monotonic()
    async with unit_of_work(sessions, doorbell) as session:
        job = await enqueue(session, "test.effect", Args(), owner_id=OWNER)
    await doorbell.aclose()
    assert time.monotonic() - began < 10
    async with sessions() as session:
        assert await session.get(type(job), job.id) is not None


def test_a_publisher_says_that_it_could_not_send(away: AppSettings) -> None:
    publisher = Publisher(create_celery(lambda: configuration(away)))
    assert publisher.send("holdfast.doorbell", ["default"], "default") is False
    publisher.close()


def test_a_publisher_connects_anew_after_the_broker_came_back_empty(
    settings: AppSettings, tmp_path: Path
) -> None:
    with state_folder() as folder:
        server = redis_server(folder)
        server.start()
        try:
            url = settings.database.url.get_secret_value()
            publisher = Publisher(
                create_celery(lambda: configuration(make_settings(tmp_path, url, server.address)))
            )
            assert publisher.send("holdfast.doorbell", ["default"], "default")
            server.kill()
            assert not publisher.send("holdfast.doorbell", ["default"], "default")
            server.start()
            assert publisher.send("holdfast.doorbell", ["default"], "default")
            publisher.close()
        finally:
            server.kill()
