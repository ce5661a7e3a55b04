"""Resumable uploads: files that arrive in pieces."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified, Timestamped


class Upload(Identified, Timestamped, Base):
    """One file on its way, and for a while after its end what became of it."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_owner_id", "owner_id", "id"),
        CheckConstraint("length > 0 AND received BETWEEN 0 AND length", name="received"),
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str | None]
    """What the sender calls the file."""
    described: Mapped[str | None]
    """``Upload-Metadata`` as it was sent, for it is sent back."""
    length: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    """Bytes that are durable. Nothing else is told as the offset."""
    writer: Mapped[int] = mapped_column(default=0)
    """Counts those who wrote: each is a fence against the one before."""
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    """The key of the object, known before the file is moved to its place."""
    mime_type: Mapped[str | None] = mapped_column(String(64))
    media_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("media_files.id", ondelete="SET NULL"), index=True
    )
    finished_at: Mapped[datetime | None]
    """When it became a media file, which may have been deleted since."""
    expires_at: Mapped[datetime] = mapped_column(index=True)

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are here and durable."""
        return self.received == self.length
