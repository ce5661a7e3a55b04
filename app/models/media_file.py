"""Uploaded files: what they were called, what they are, and what was made of them."""

import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Identified, Timestamped
from app.models.job import Job


class MediaState(StrEnum):
    """How far a file is. Told from its row and its job, so that the two never disagree."""

    UPLOADED = "uploaded"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class MediaFile(Identified, Timestamped, Base):
    """One upload. Several may share the object that holds their content."""

    __tablename__ = "media_files"
    __table_args__ = (
        # The list of one owner, newest first: ids are in the order of their times.
        Index("ix_media_files_owner_id", "owner_id", "id"),
        CheckConstraint("size > 0", name="size"),
        CheckConstraint("kind IN ('image', 'video', 'audio')", name="kind"),
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    """The key of the object in the workspace."""
    mime_type: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(8))
    probe: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What ffprobe said; set when, and only when, processing succeeded."""
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration: Mapped[float | None]
    """Seconds."""
    thumbnail_key: Mapped[str | None] = mapped_column(String(64), index=True)
    poster_key: Mapped[str | None] = mapped_column(String(64), index=True)
    preview_key: Mapped[str | None] = mapped_column(String(64), index=True)
    preview_type: Mapped[str | None] = mapped_column(String(64))
    """The IANA name of the preview's type."""
    waveform_key: Mapped[str | None] = mapped_column(String(64), index=True)
    note: Mapped[str | None]
    """What is missing where it was due, and why: a line for each fact."""
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)

    job: Mapped[Job | None] = relationship(lazy="raise")
