"""The shapes of the fixtures for jobs, and two things that only tests do."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import func, literal, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.job import Job

Accept = Callable[..., Awaitable[uuid.UUID]]
Take = Callable[..., Awaitable[Any]]
Do = Callable[[Any], Awaitable[list[Any]]]
RowOf = Callable[[uuid.UUID], Awaitable[Job]]
HistoryOf = Callable[[uuid.UUID], Awaitable[list[str]]]


def expired(job_id: uuid.UUID) -> Any:
    """A statement after which a job's lease has ended a second ago."""
    ended = func.now() - literal(timedelta(seconds=1))
    return update(Job).where(Job.id == job_id).values(lease_expires_at=ended).returning(Job.id)


async def other_owner(session: AsyncSession) -> uuid.UUID:
    """Another account."""
    owner = uuid.uuid4()
    await session.execute(
        text("INSERT INTO users (id, email) VALUES (:id, :email)"), {"id": owner, "email": f"{owner}@test"}
    )
    return owner
