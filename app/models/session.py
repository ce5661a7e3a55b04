"""Logins: each is a family of refresh tokens, of which one alone is current."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified, Timestamped


class Session(Identified, Timestamped, Base):
    """One login of one account on one device."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user_id", "user_id", "id"),
        # What the pruning of ended sessions looks for.
        Index("ix_sessions_expires_at", "expires_at"),
    )

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    refresh_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the current refresh token."""
    previous_hash: Mapped[str | None] = mapped_column(String(64))
    """Of the one before, which is no theft for a short while: other tabs may still hold it."""
    rotations: Mapped[int] = mapped_column(Integer, server_default=text("0"), default=0)
    rotated_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None] = mapped_column(String(32))
    by_cookie: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(200))
