"""Accepting a job: its row commits with the change that asked for it, or not at all."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import context
from app.models.job import Job, JobEvent, JobState
from app.services.jobs.doorbell import ring_after_commit
from app.services.jobs.registry import kind_of


async def enqueue(
    session: AsyncSession,
    name: str,
    args: BaseModel | dict[str, Any],
    *,
    owner_id: uuid.UUID,
    run_at: datetime | None = None,
) -> Job:
    """Add a job in the caller's transaction; workers are told after its commit.

    Args:
        session: the caller's transaction.
        name: the kind of job.
        args: its arguments, as the kind's model or as a dict that fits it.
        owner_id: whose job it is.
        run_at: not before this time, with a time zone, found by the workers' sweep; at once where not given.

    Raises:
        LookupError: there is no such kind.
        pydantic.ValidationError: the arguments do not fit it.
    """
    kind = kind_of(name)
    checked = kind.args_model.model_validate(args.model_dump() if isinstance(args, BaseModel) else args)
    job = Job(
        kind=kind.name,
        queue=kind.queue,
        args=checked.model_dump(mode="json"),
        owner_id=owner_id,
        state=JobState.QUEUED,
        progress=0.0,
        attempt=0,
        request_id=context.request_id.get(),
    )
    if run_at is not None:
        job.run_at = run_at
    session.add(job)
    await session.flush()
    session.add(JobEvent(job_id=job.id, state=job.state, attempt=0, progress=0.0))
    await session.flush()
    if run_at is None:
        ring_after_commit(session, kind.queue)
    return job
