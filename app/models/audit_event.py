"""What happened to accounts: written once, never changed; the database itself refuses."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class AuditEvent(Identified, Base):
    """One security event. Ids are no foreign keys: the log outlives what it speaks of.

    Triggers refuse UPDATE, DELETE and TRUNCATE, whoever asks. What they cannot keep off is the owner of the
    table, which could drop them, and with it this application's own account where that owns its tables:
    whoever needs more lets an account that owns nothing run it, or sends the log lines elsewhere as well.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        # Read newest first, of all accounts, of one, or of one kind; the id decides within a moment.
        Index("ix_audit_log_created_at", "created_at", "id"),
        Index("ix_audit_log_user_id", "user_id", "created_at", "id"),
        Index("ix_audit_log_event", "event", "created_at", "id"),
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
