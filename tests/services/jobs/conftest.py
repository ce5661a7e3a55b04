"""Kinds of jobs to enqueue, and the shapes of what workers do to them."""

import uuid
from typing import Any

import pytest
from sqlalchemy import select

from app.core.database import Sessions, transaction
from app.models.job import Job, JobEvent
from app.services.jobs import enqueue, moves
from tests.accounts import OWNER
from tests.services.jobs.shapes import Accept, Do, HistoryOf, RowOf, Take
from tests.workers import kinds

ALLOWANCES = {"test.effect": 5, "test.poison": 2}


@pytest.fixture
def accept(sessions: Sessions) -> Accept:
    """Accept a job for real."""

    async def accept(kind: str = "test.effect", **options: Any) -> uuid.UUID:
        async with transaction(sessions) as session:
            job = await enqueue(session, kind, kinds.Args(), **({"owner_id": OWNER} | options))
        return job.id

    return accept


@pytest.fixture
def take(sessions: Sessions) -> Take:
    """Claim the next job as a worker does; its row, or None."""

    async def take(queue: str = "default", *, lease: float = 3600.0, worker: str = "me") -> Any:
        async with transaction(sessions) as session:
            claim = moves.claim(queue, worker=worker, lease=lease, allowances=ALLOWANCES)
            return (await session.execute(claim)).one_or_none()

    return take


@pytest.fixture
def do(sessions: Sessions) -> Do:
    """Run one statement in a transaction of its own."""

    async def do(statement: Any) -> list[Any]:
        async with transaction(sessions) as session:
            return list((await session.execute(statement)).all())

    return do


@pytest.fixture
def row(sessions: Sessions) -> RowOf:
    """A job's row as it is now."""

    async def row(job_id: uuid.UUID) -> Job:
        async with sessions() as session:
            return await session.get_one(Job, job_id)

    return row


@pytest.fixture
def history(sessions: Sessions) -> HistoryOf:
    """The states that a job's events tell, in order."""

    async def history(job_id: uuid.UUID) -> list[str]:
        async with sessions() as session:
            events = select(JobEvent.state).where(JobEvent.job_id == job_id).order_by(JobEvent.id)
            return list(await session.scalars(events))

    return history
