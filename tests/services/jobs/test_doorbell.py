"""The doorbell: after the commit, never in anybody's way."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.celery_app import configuration, create_celery
from app.core import context
from app.core.config import AppSettings
from app.core.database import Sessions
from app.services import publisher
from app.services.jobs import Doorbell, doorbell, enqueue
from app.services.publisher import Publisher
from app.services.unit_of_work import unit_of_work
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.servers import DEADLINE, redis_server, state_folder
from tests.serving import NOBODY
from tests.workers.kinds import Args


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that takes its time on a busy machine is waited for."""
    monkeypatch.setattr(publisher, "TIMEOUT", DEADLINE)
    monkeypatch.setattr(doorbell, "TIMEOUT", DEADLINE)


def doorbell_of(settings: AppSettings) -> Doorbell:
    return Doorbell(create_celery(lambda: configuration(settings)))


@pytest.fixture
def away(settings: AppSettings, tmp_path: Path) -> AppSettings:
    """Settings whose broker is not there."""
    url = settings.database.url.get_secret_value()
    return make_settings(tmp_path, url, f"redis://{NOBODY}/0")


@pytest.mark.usefixtures("patient")
async def test_workers_are_told_after_the_commit(
    settings: AppSettings, sessions: Sessions, redis: Redis
) -> None:
    bell = doorbell_of(settings)
    async with unit_of_work(sessions, bell) as session:
        await enqueue(session, "test.effect", Args(), owner_id=OWNER)
        assert await redis.llen("default") == 0
    await bell.aclose()
    assert await redis.llen("default") == 1


async def test_nobody_is_told_of_what_was_rolled_back(
    settings: AppSettings, sessions: Sessions, redis: Redis
) -> None:
    bell = doorbell_of(settings)

    async def request() -> None:
        async with unit_of_work(sessions, bell) as session:
            await enqueue(session, "test.effect", Args(), owner_id=OWNER)
            raise RuntimeError("the request fails")

    with pytest.raises(RuntimeError, match="the request fails"):
        await request()
    await bell.aclose()
    assert await redis.llen("default") == 0


@pytest.mark.usefixtures("patient")
async def test_the_message_names_the_queue_and_carries_the_request_id(
    settings: AppSettings, redis: Redis
) -> None:
    bell = doorbell_of(settings)
    with context.bound(context.request_id, "the-request"):
        bell.ring(["media"])
    await bell.aclose()
    message = str(await redis.lindex("media", 0))
    assert '"request_id": "the-request"' in message
    assert "holdfast.doorbell" in message


@pytest.mark.usefixtures("patient")
async def test_rings_in_a_row_are_joined(settings: AppSettings, redis: Redis) -> None:
    bell = doorbell_of(settings)
    for _ in range(200):
        bell.ring(["default"])
    await bell.aclose()
    assert 1 <= await redis.llen("default") < 200


async def test_a_closed_doorbell_is_silent(settings: AppSettings, redis: Redis) -> None:
    bell = doorbell_of(settings)
    await bell.aclose()
    bell.ring(["default"])
    assert await redis.llen("default") == 0


async def test_without_a_broker_a_job_is_accepted_all_the_same(away: AppSettings, sessions: Sessions) -> None:
    bell = doorbell_of(away)
    async with asyncio.timeout(DEADLINE):
        async with unit_of_work(sessions, bell) as session:
            job = await enqueue(session, "test.effect", Args(), owner_id=OWNER)
        await bell.aclose()
    async with sessions() as session:
        assert await session.get(type(job), job.id) is not None


def test_a_publisher_says_that_it_could_not_send(away: AppSettings) -> None:
    sender = Publisher(create_celery(lambda: configuration(away)))
    assert sender.send("holdfast.doorbell", ["default"], "default") is False
    sender.close()


@pytest.mark.usefixtures("patient")
def test_a_publisher_connects_anew_after_the_broker_came_back_empty(
    settings: AppSettings, tmp_path: Path
) -> None:
    with state_folder() as folder:
        server = redis_server(folder)
        server.start()
        try:
            url = settings.database.url.get_secret_value()
            sender = Publisher(
                create_celery(lambda: configuration(make_settings(tmp_path, url, server.address)))
            )
            assert sender.send("holdfast.doorbell", ["default"], "default")
            server.kill()
            assert not sender.send("holdfast.doorbell", ["default"], "default")
            server.start()
            assert sender.send("holdfast.doorbell", ["default"], "default")
            sender.close()
        finally:
            server.kill()
