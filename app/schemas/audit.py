"""The audit log as it is read."""

import uuid
from typing import Any

from pydantic import Field

from app.schemas.base import BaseSchema, Timestamp


class AuditEventResponse(BaseSchema):
    """One security event."""

    id: uuid.UUID
    created_at: Timestamp
    event: str = Field(description="What happened.", examples=["login.failed"])
    user_id: uuid.UUID | None = Field(description="The account that it happened to.")
    actor_id: uuid.UUID | None = Field(description="The account that did it.")
    session_id: uuid.UUID | None
    api_key_id: uuid.UUID | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, Any]
