"""Answers kept for who asks again with the same ``Idempotency-Key``."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified, Timestamped


class IdempotencyKey(Identified, Timestamped, Base):
    """A key of an account for one operation; it commits with the effect that it stands for."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        UniqueConstraint("user_id", "operation", "key_hash"),
        Index("ix_idempotency_keys_expires_at", "expires_at"),
    )

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    operation: Mapped[str] = mapped_column(String(200))
    """Method and path."""
    key_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the key: the answer is encrypted with the key itself."""
    fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what was asked."""
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Headers and body, encrypted."""
    expires_at: Mapped[datetime]
