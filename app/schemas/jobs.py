"""Jobs as their owner sees them."""

import uuid
from typing import Any, Literal

from pydantic import Field

from app.models.job import JobState
from app.schemas.base import BaseSchema, Timestamp, TimestampSchema


class JobError(BaseSchema):
    """Why the last attempt did not succeed."""

    code: str = Field(description="For programs; stable.", examples=["job_failed"])
    message: str = Field(description="For people.", examples=["The file is not a video."])


class JobSummary(TimestampSchema):
    """A job in a list."""

    kind: str = Field(description="What it does.", examples=["media.process"])
    state: JobState
    progress: float = Field(ge=0, le=1, description="From 0 to 1.")
    progress_word: str | None = Field(description="What it does now.", examples=["thumbnail"])
    attempt: int = Field(ge=0, description="How many attempts were begun.")
    error: JobError | None
    finished_at: Timestamp | None


class JobDetail(JobSummary):
    """One job."""

    queue: str
    max_attempts: int | None = Field(
        description="The number of the last attempt; decided when the first begins."
    )
    run_at: Timestamp = Field(description="It does not begin before this.")
    started_at: Timestamp | None = Field(description="When the last attempt began.")
    cancel_requested_at: Timestamp | None
    result: dict[str, Any] | None
    request_id: str | None = Field(description="The request that asked for it.")


class JobEventData(BaseSchema):
    """The data of an event of a job's stream, whose id is the event's own."""

    job_id: uuid.UUID
    state: JobState
    progress: float = Field(ge=0, le=1, description="From 0 to 1.")
    progress_word: str | None = Field(description="What it does now.", examples=["thumbnail"])
    attempt: int = Field(ge=0, description="How many attempts were begun.")
    error: JobError | None
    at: Timestamp


class JobLogLine(BaseSchema):
    """A line of a job's log."""

    id: int = Field(description="May be given as `cursor`, for what is written after it.")
    at: Timestamp
    attempt: int = Field(ge=0)
    level: Literal["info", "warning", "error"]
    message: str = Field(description="For people.", examples=["Attempt 1 has begun."])
    state: JobState | None = Field(description="The job's new state, where the line tells of that.")
