"""What happened to accounts: written once, never changed; the database itself refuses."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class AuditEvent(Identified, Base):
    """One security event. Ids are no foreign keys: the log outlives what it speaks of."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_user_id", "user_id", "id"),
        Index("ix_audit_log_event", "event", "id"),
    )

    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    event: Mapped[str] = mapped_column(String(64))
    """What happened, such as ``login.failed``."""
    user_id: Mapped[uuid.UUID | None]
    """The account that it happened to."""
    actor_id: Mapped[uuid.UUID | None]
    """The account that did it."""
    session_id: Mapped[uuid.UUID | None]
    api_key_id: Mapped[uuid.UUID | None]
    address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(200))
    request_id: Mapped[str | None] = mapped_column(String(64))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"), default=dict)
