"""A worker's child that a test plays itself: it claims and runs jobs with a real database."""

import asyncio
import threading
import time
import uuid
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.celery_app import configuration, create_celery
from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.job import Job
from app.services.jobs import Doorbell, enqueue, moves
from app.workers.blocking import Line
from app.workers.execution import Executor
from app.workers.keeper import Keeper
from tests.accounts import OWNER
from tests.services.jobs.shapes import expired
from tests.workers import kinds
from tests.workers.waiting import until


class Child:
    """What a worker's child is made of, in this process; to be killed is only noted."""

    def __init__(self, settings: AppSettings, engine: AsyncEngine, sessions: Sessions) -> None:
        self.killed = threading.Event()
        self.tools_killed = threading.Event()
        self.proofs = 0
        self.ahead = 0.0
        """Seconds by which the keeper's clock is ahead, so that limits end without a wait."""
        self.sessions = sessions
        self.doorbell = Doorbell(create_celery(lambda: configuration(settings)))
        self.keeper = Keeper(
            Line(settings.database, name="test-keeper"),
            lease=settings.jobs.lease_seconds,
            cancel_grace=settings.jobs.cancel_grace,
            on_proof=self._prove,
            kill=self.killed.set,
            clock=lambda: time.monotonic() + self.ahead,
        )
        self.executor = Executor(
            settings,
            engine,
            sessions,
            self.doorbell,
            self.keeper,
            worker="here/1",
            kill_tools=self.tools_killed.set,
        )

    def _prove(self) -> None:
        self.proofs += 1

    async def accept(self, kind: str, **args: Any) -> uuid.UUID:
        async with transaction(self.sessions) as session:
            return (await enqueue(session, kind, args, owner_id=OWNER)).id

    async def run(self, kind: str, **args: Any) -> Job:
        """Accept a job of a kind, run it, and give its row."""
        job_id = await self.accept(kind, **args)
        await self.work()
        return await self.row(job_id)

    async def work(self) -> None:
        claim = await self.executor.claim("default")
        assert claim is not None
        await self.executor.run(claim)

    async def row(self, job_id: uuid.UUID) -> Job:
        async with self.sessions() as session:
            return await session.get_one(Job, job_id)

    async def do(self, statement: Any) -> None:
        async with transaction(self.sessions) as session:
            await session.execute(statement)

    async def is_waiting(self, job_id: uuid.UUID) -> bool:
        """Whether the job's function has begun, as its progress tells."""
        return (await self.row(job_id)).progress_word == "waiting"

    async def begin(self, kind: str) -> "tuple[uuid.UUID, asyncio.Task[None]]":
        """Accept a job and run it until its function has begun."""
        job_id = await self.accept(kind)
        task = asyncio.create_task(self.work())
        await until(lambda: self.is_waiting(job_id), "the start of the job")
        return job_id, task

    async def lose(self, job_id: uuid.UUID) -> None:
        """Take a running job back as a sweep does after its lease; its keeper can renew nothing between."""
        async with transaction(self.sessions) as session:
            await session.execute(expired(job_id))
            await session.execute(moves.take_back())

    async def cancel(self, job_id: uuid.UUID) -> None:
        await self.do(update(Job).where(Job.id == job_id).values(cancel_requested_at=func.now()))


async def killed(child: Child, task: "asyncio.Task[None]") -> None:
    """Wait until the keeper would have killed the process, and take the job's stubborn function away."""
    await until(lambda: asyncio.to_thread(child.killed.is_set), "the kill")
    kinds.RELEASED.set()
    await task
