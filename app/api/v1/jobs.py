"""Jobs: list, look at, follow, cancel, try again."""

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Response, status

from app.api.credentials import HeldUntil, JobsReader, JobsWriter
from app.api.deps import MAX_PAGE_SIZE, FollowingDep, PageDep, ReadingDep, SessionDep
from app.api.event_stream import EventStream, documented_events, event_id
from app.api.paths import V1
from app.api.versioned import SHOWN, IfNoneMatch, answer
from app.models.job import JobState
from app.schemas.base import CursorPage, ErrorResponse, PaginatedResponse
from app.schemas.jobs import JobDetail, JobEventData, JobLogLine, JobSummary
from app.services import jobs
from app.services.jobs import history, logs

router = APIRouter(prefix=f"{V1}/jobs", tags=["jobs"])

_Responses = dict[int | str, dict[str, Any]]

_MISSING: Final[_Responses] = {404: {"model": ErrorResponse, "description": "No such job of this account."}}
_STREAM: Final[_Responses] = {
    200: documented_events(JobEventData, event="job", description="What happens, event by event."),
    204: {"description": "The job has ended, and `Last-Event-ID` names its last event: nothing will follow."},
    429: {"model": ErrorResponse, "description": "Too many requests, or too many streams of this account."},
}
_LARGEST: Final = 2**63 - 1

_Seen = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=100, description="The event seen last; what follows is told."),
]
_SeenByQuery = Annotated[
    int | None, Query(ge=0, le=_LARGEST, description="The same, for who cannot send the header; that wins.")
]
_Cursor = Annotated[int, Query(ge=0, le=_LARGEST, description="`next` of the part before, or a line's `id`.")]
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="The most lines of a part.")]

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


@router.get("/{job_id}/events", responses=_MISSING | _STREAM, response_class=Response)
async def follow_job(
    *,
    session: ReadingDep,
    principal: JobsReader,
    held_until: HeldUntil,
    following: FollowingDep,
    job_id: uuid.UUID,
    last_event_id: _Seen = None,
    seen: Annotated[_SeenByQuery, Query(alias="last_event_id")] = None,
) -> Response:
    """What happens to the job, as it happens: its state now, then each change and its progress.

    The stream ends with the job, with the credential, after a while, and when its server leaves; the client
    connects again and misses nothing.
    """
    job = await jobs.get_job(session, job_id, owner_id=principal.user_id)
    last_seen = seen if last_event_id is None else event_id(last_event_id)
    missed = await history.missed(session, job, last_seen=last_seen)
    if missed.is_over:
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    following.require_room(principal)
    return EventStream(following.told(job_id, missed, principal=principal, until=held_until))


@router.get("/{job_id}/logs", responses=_MISSING)
async def read_job_log(
    session: ReadingDep, principal: JobsReader, job_id: uuid.UUID, cursor: _Cursor = 0, limit: _Limit = 50
) -> CursorPage[JobLogLine]:
    """What the job told its owner, with the changes of its state, from the beginning."""
    await jobs.get_job(session, job_id, owner_id=principal.user_id)
    lines, more = await logs.read(session, job_id, limit=limit, cursor=cursor)
    items = [JobLogLine.model_validate(line) for line in lines]
    return CursorPage(items=items, next=str(lines[-1].id) if more else None)


@router.post("/{job_id}/cancel", status_code=status.HTTP_202_ACCEPTED, responses=_MISSING | _CONFLICT)
async def cancel_job(session: SessionDep, principal: JobsWriter, job_id: uuid.UUID) -> JobDetail:
    """Cancel a job. One that waits is cancelled at once, one that runs is told to stop and then made to."""
    return JobDetail.model_validate(await jobs.cancel_job(session, job_id, owner_id=principal.user_id))


@router.post("/{job_id}/retry", status_code=status.HTTP_202_ACCEPTED, responses=_MISSING | _CONFLICT)
async def retry_job(session: SessionDep, principal: JobsWriter, job_id: uuid.UUID) -> JobDetail:
    """Let a job that failed or was cancelled run again, with all its attempts anew."""
    return JobDetail.model_validate(await jobs.retry_job(session, job_id, owner_id=principal.user_id))
