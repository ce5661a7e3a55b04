"""What waits and runs in each queue, at a bounded cost and beside the probes."""

import asyncio
import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import AppSettings
from app.core.database import Sessions
from app.models.job import Job
from app.schemas.health import QueueResponse
from app.services.health import details, probes
from tests.accounts import ADMIN, OWNER, bearer
from tests.serving import serve


async def add(sessions: Sessions, *rows: tuple[str, str]) -> None:
    """Add jobs of these queues and states."""
    async with sessions.begin() as session:
        for queue, state in rows:
            session.add(Job(id=uuid.uuid4(), owner_id=OWNER, kind="k", queue=queue, state=state, args={}))
        await session.flush()


def depth(queue: str, *, due: int, queued: int, retrying: int) -> QueueResponse:
    return QueueResponse(queue=queue, due=due, queued=queued, retrying=retrying, running=0)


async def test_each_queue_is_counted_by_state(engine: AsyncEngine, sessions: Sessions) -> None:
    await add(sessions, ("media", "queued"), ("media", "retrying"), ("default", "queued"))
    async with engine.begin() as connection:
        later = "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE state = 'retrying'"
        await connection.execute(text(later))
        start = "UPDATE jobs SET state = 'running', lease_expires_at = now() WHERE queue = 'default'"
        await connection.execute(text(start))
    running = QueueResponse(queue="default", due=0, queued=0, retrying=0, running=1)
    assert await details.queue_depths(engine) == [running, depth("media", due=1, queued=1, retrying=1)]


async def test_a_long_queue_is_counted_to_a_bound_and_hides_no_other(
    engine: AsyncEngine, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "COUNTED", 3)
    await add(sessions, *[("default", "queued")] * 5, ("media", "queued"))
    assert await details.queue_depths(engine) == [
        depth("default", due=3, queued=3, retrying=0),
        depth("media", due=1, queued=1, retrying=0),
    ]


async def test_a_locked_table_makes_queues_unknown_and_nothing_unready(
    settings: AppSettings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(settings, headers=bearer(settings, ADMIN)) as http, engine.begin() as connection:
        # Of the questions to the queues alone: the probes' own stay patient.
        monkeypatch.setattr(probes, "PATIENCE", 0.9)
        await connection.execute(text("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"))
        detailed = asyncio.create_task(http.get("/health/detailed"))
        answers = []
        while not detailed.done():
            answers.append(await http.get("/health/ready"))
            await asyncio.sleep(0.1)
        answers.append(await http.get("/health/ready"))
        assert (await detailed).json()["queues"] is None
    assert {answer.status_code for answer in answers} == {200}
