"""One transaction: commit, then ring. Services flush and never commit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions
from app.services.jobs.doorbell import Doorbell, queues_to_ring


@asynccontextmanager
async def unit_of_work(sessions: Sessions, doorbell: Doorbell) -> AsyncIterator[AsyncSession]:
    """A session that commits at the end and then tells workers of the jobs it accepted.

    An error rolls everything back, the jobs with it, and nobody is told.
    """
    async with sessions() as session:
        async with session.begin():
            yield session
        doorbell.ring(queues_to_ring(session))
