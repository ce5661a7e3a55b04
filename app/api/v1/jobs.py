"""Jobs: list, look at, cancel, try again."""

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response, status

from app.api.credentials import JobsReader, JobsWriter
from app.api.deps import PageDep, ReadingDep, SessionDep
from app.api.versioned import SHOWN, IfNoneMatch, answer
from app.models.job import JobState
from app.schemas.base import ErrorResponse, PaginatedResponse
from app.schemas.jobs import JobDetail, JobSummary
from app.services import jobs

router = APIRouter(prefix="/jobs", tags=["jobs"])

_Responses = dict[int | str, dict[str, Any]]

_MISSING: Final[_Responses] = {404: {"model": ErrorResponse, "description": "No such job of this account."}}
_CONFLICT: Final[_Responses] = {409: {"model": ErrorResponse, "description": "Not in the job's state."}}


@router.get("")
async def list_jobs(
    session: ReadingDep,
    principal: JobsReader,
    page: PageDep,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
    kind: Annotated[str | None, Query(max_length=100, description="Only jobs of this kind.")] = None,
) -> PaginatedResponse[JobSummary]:
    """The account's jobs, the newest first."""
    rows, total = await jobs.list_jobs(
        session, owner_id=principal.user_id, state=state, kind=kind, offset=page.offset, limit=page.limit
    )
    items = [JobSummary.model_validate(row) for row in rows]
    return PaginatedResponse(items=items, total=total, page=page.number, page_size=page.size)


@router.get("/{job_id}", responses=_MISSING | SHOWN, response_model=JobDetail)
async def get_job(
    session: ReadingDep, principal: JobsReader, job_id: uuid.UUID, if_none_match: IfNoneMatch = None
) -> Response:
    """One job with its progress, and its result or its error."""
    job = await jobs.get_job(session, job_id, owner_id=principal.user_id)
    return answer(JobDetail.model_validate(job), if_none_match)


@router.post("/{job_id}/cancel", status_code=status.HTTP_202_ACCEPTED, responses=_MISSING | _CONFLICT)
async def cancel_job(session: SessionDep, principal: JobsWriter, job_id: uuid.UUID) -> JobDetail:
    """Cancel a job. One that waits is cancelled at once, one that runs is told to stop and then made to."""
    return JobDetail.model_validate(await jobs.cancel_job(session, job_id, owner_id=principal.user_id))


@router.post("/{job_id}/retry", status_code=status.HTTP_202_ACCEPTED, responses=_MISSING | _CONFLICT)
async def retry_job(session: SessionDep, principal: JobsWriter, job_id: uuid.UUID) -> JobDetail:
    """Let a job that failed or was cancelled run again, with all its attempts anew."""
    return JobDetail.model_validate(await jobs.retry_job(session, job_id, owner_id=principal.user_id))
