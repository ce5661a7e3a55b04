"""What an owner may ask about jobs: see, list, cancel, try again. Another owner's job is not there."""

import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Select, func, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import ConflictException, NotFoundException
from app.models.job import ENDED, WAITING, Job, JobEvent, JobState
from app.services.jobs.doorbell import ring_after_commit

_REPEATABLE: Final = (JobState.FAILED, JobState.CANCELLED)


async def get_job(session: AsyncSession, job_id: uuid.UUID, *, owner_id: uuid.UUID) -> Job:
    """One job.

    Raises:
        NotFoundException: the owner has no such job.
    """
    return _found(await session.scalar(_owned(owner_id).where(Job.id == job_id)))


async def list_jobs(
    session: AsyncSession,
    *,
    owner_id: uuid.UUID,
    state: JobState | None = None,
    kind: str | None = None,
    offset: int = 0,
    limit: int = 20,
) -> tuple[Sequence[Job], int]:
    """A part of an owner's jobs, newest first, and how many fit the filters in all."""
    wanted = _owned(owner_id)
    if state is not None:
        wanted = wanted.where(Job.state == state)
    if kind is not None:
        wanted = wanted.where(Job.kind == kind)
    total = await session.scalar(select(func.count()).select_from(wanted.subquery()))
    rows = await session.scalars(wanted.order_by(Job.id.desc()).offset(offset).limit(limit))
    return rows.all(), total or 0


async def cancel_job(session: AsyncSession, job_id: uuid.UUID, *, owner_id: uuid.UUID) -> Job:
    """Cancel a waiting job at once; ask a running one to stop, which its worker enforces after a while.

    Asking twice is the same as asking once: a job that was cancelled answers as it is.

    Raises:
        NotFoundException: the owner has no such job.
        ConflictException: it has succeeded or failed.
    """
    job = await _locked(session, job_id, owner_id)
    if job.state == JobState.CANCELLED:
        return job
    if job.state in ENDED:
        raise ConflictException(f"The job has {job.state}: only a waiting or running job can be cancelled.")
    if job.state in WAITING:
        values = {"state": JobState.CANCELLED, "finished_at": func.clock_timestamp()}
        return await _change(session, job, values | {"cancel_requested_at": func.clock_timestamp()})
    if job.cancel_requested_at is None:
        job.cancel_requested_at = func.clock_timestamp()
        await session.flush()
        await session.refresh(job)
    return job


async def retry_job(session: AsyncSession, job_id: uuid.UUID, *, owner_id: uuid.UUID) -> Job:
    """Let a job that failed or was cancelled run again: the same row, with all its attempts anew.

    Raises:
        NotFoundException: the owner has no such job.
        ConflictException: it did not fail and was not cancelled.
    """
    job = await _locked(session, job_id, owner_id)
    if job.state not in _REPEATABLE:
        raise ConflictException(f"The job {_standing(job)}: only a failed or cancelled job can be retried.")
    # The worker that claims it next grants new attempts; the number of the attempt itself never goes back.
    job = await _change(
        session,
        job,
        {
            "state": JobState.QUEUED,
            "max_attempts": null(),
            "deaths": 0,
            "progress": 0.0,
            "progress_word": null(),
            "run_at": func.clock_timestamp(),
            "error": null(),
            "result": null(),
            "cancel_requested_at": null(),
            "started_at": null(),
            "finished_at": null(),
            "worker": null(),
        },
    )
    ring_after_commit(session, job.queue)
    return job


def _owned(owner_id: uuid.UUID) -> Select[Job]:
    return select(Job).where(Job.owner_id == owner_id)


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFoundException("Job not found")
    return job


async def _locked(session: AsyncSession, job_id: uuid.UUID, owner_id: uuid.UUID) -> Job:
    owned = _owned(owner_id).where(Job.id == job_id)
    # Read anew under the lock: what this session read before may be old.
    return _found(await session.scalar(owned.with_for_update().execution_options(populate_existing=True)))


async def _change(session: AsyncSession, job: Job, values: dict[str, object]) -> Job:
    await session.execute(
        update(Job).where(Job.id == job.id).values(values).execution_options(synchronize_session=False)
    )
    await session.refresh(job)
    session.add(
        JobEvent(
            job_id=job.id,
            state=job.state,
            attempt=job.attempt,
            progress=job.progress,
            progress_word=job.progress_word,
        )
    )
    await session.flush()
    return job


def _standing(job: Job) -> str:
    return "has succeeded" if job.state == JobState.SUCCEEDED else f"is {job.state}"
