"""The shapes that every payload shares."""

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)

T = TypeVar("T")


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    AfterValidator(_utc),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment in UTC, written with a trailing ``Z`` (RFC 3339)."""


def _as_date(value: object) -> object:
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("must be a date and a time, such as 2026-11-21T09:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_as_date)]
"""A moment as it is asked for, in the form of RFC 3339; pydantic alone would take seconds since 1970 too."""

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Text that PostgreSQL can hold: without the character NUL."""

Shown = Annotated[
    SecretStr,
    PlainSerializer(SecretStr.get_secret_value, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""A secret that an answer shows once; masked wherever else it is written."""


class BaseSchema(BaseModel):
    """A payload. Reads attributes of rows, refuses fields that it does not know."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


class TimestampSchema(BaseSchema):
    """A payload of a row with a key and times."""

    id: uuid.UUID
    created_at: Timestamp
    updated_at: Timestamp


class PaginatedResponse(BaseSchema, Generic[T]):
    """One page of a list."""

    items: list[T]
    total: int = Field(ge=0, description="How many there are on all pages.")
    page: int = Field(ge=1, description="This page, from 1.")
    page_size: int = Field(ge=1, description="The most items of a page.")


class CursorPage(BaseSchema, Generic[T]):
    """A part of a list that is too long, or grows too fast, to be counted."""

    items: list[T]
    next: str | None = Field(description="To be given as `cursor` for the part after this; none at the end.")


class ErrorBody(BaseSchema):
    """What went wrong."""

    code: str = Field(description="For programs; stable.", examples=["not_found"])
    message: str = Field(description="For people; says what to do.", examples=["User not found"])
    details: Any = Field(None, description="More for programs, by code.")


class ErrorResponse(BaseSchema):
    """The one form of every error."""

    error: ErrorBody
    request_id: str = Field(description="The same as in X-Request-ID and in the logs.")
    timestamp: Timestamp


class ProblemResponse(BaseSchema):
    """An error as RFC 9457 has it, for who accepts ``application/problem+json``."""

    type: str = Field(description="Always about:blank: the title is the status.", examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(description="For people; says what to do.", examples=["User not found"])
    code: str = Field(description="For programs; stable.", examples=["not_found"])
    details: Any = Field(None, description="More for programs, by code.")
    request_id: str = Field(description="The same as in X-Request-ID and in the logs.")
    timestamp: Timestamp
