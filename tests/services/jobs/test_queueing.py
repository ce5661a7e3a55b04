"""A job is accepted with the change that asked for it, or not at all."""

from typing import Any

import pydantic
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import context
from app.core.database import Sessions
from app.models.job import Job, JobState
from app.services.jobs import enqueue, job
from app.services.jobs.doorbell import queues_to_ring
from app.services.jobs.registry import kind_of, known_kinds
from tests.accounts import OWNER
from tests.services.jobs.shapes import Accept, HistoryOf, RowOf
from tests.workers.kinds import Args


async def count(sessions: Sessions) -> int:
    async with sessions() as session:
        return (await session.execute(select(func.count()).select_from(Job))).scalar_one()


async def test_an_accepted_job_is_queued_with_its_arguments(
    accept: Accept, row: RowOf, history: HistoryOf
) -> None:
    accepted = await row(job_id := await accept())
    assert (accepted.state, accepted.args, accepted.queue) == (
        JobState.QUEUED,
        {"word": "done", "seconds": 0.0},
        "default",
    )
    assert await history(job_id) == ["queued"]


async def test_a_rolled_back_request_leaves_no_job(sessions: Sessions) -> None:
    async def request() -> None:
        async with sessions() as session, session.begin():
            await enqueue(session, "test.effect", Args(), owner_id=OWNER)
            raise RuntimeError("the request fails")

    with pytest.raises(RuntimeError, match="the request fails"):
        await request()
    assert await count(sessions) == 0


async def test_a_job_remembers_the_request_that_asked_for_it(accept: Accept, row: RowOf) -> None:
    with context.bound(context.request_id, "asked-for-it"):
        job_id = await accept()
    assert (await row(job_id)).request_id == "asked-for-it"


async def test_an_unknown_kind_is_refused(session: AsyncSession) -> None:
    with pytest.raises(LookupError, match=r"no\.such"):
        await enqueue(session, "no.such", {}, owner_id=OWNER)


async def test_arguments_that_do_not_fit_are_refused(session: AsyncSession) -> None:
    with pytest.raises(pydantic.ValidationError, match="seconds"):
        await enqueue(session, "test.effect", {"seconds": "soon"}, owner_id=OWNER)


async def test_the_queue_is_noted_to_be_rung_once(session: AsyncSession) -> None:
    for _ in range(2):
        await enqueue(session, "test.effect", Args(), owner_id=OWNER)
    assert queues_to_ring(session) == {"default"}
    assert queues_to_ring(session) == set()


async def test_a_job_for_later_is_not_rung_for(session: AsyncSession) -> None:
    later = (await session.execute(select(func.now() + func.make_interval(0, 0, 0, 1)))).scalar_one()
    accepted = await enqueue(session, "test.effect", Args(), owner_id=OWNER, run_at=later)
    assert accepted.run_at == later
    assert queues_to_ring(session) == set()


def test_a_kind_is_found_by_its_name() -> None:
    assert kind_of("test.poison").max_attempts == 2
    assert "maintenance.prune" in known_kinds()


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("test.effect", {}, "already"),
        ("test.new", {"queue": "nowhere"}, "no queue 'nowhere'"),
        ("test.new", {"soft_limit": 3, "hard_limit": 2}, "soft limit"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(name: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        job(name, Args, **options)(kind_of("test.effect").body)
    assert "test.new" not in known_kinds()
