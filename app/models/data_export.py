"""Copies of all that belongs to an account, made for its owner by a job."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Identified, Timestamped
from app.models.job import Job


class DataExport(Identified, Timestamped, Base):
    """One export; its file is an object of the workspace until it expires."""

    __tablename__ = "data_exports"
    __table_args__ = (
        Index("ix_data_exports_user_id", "user_id", "id"),
        Index("ix_data_exports_expires_at", "expires_at"),
    )

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    object_key: Mapped[str | None] = mapped_column(String(64), index=True)
    size: Mapped[int | None] = mapped_column(BigInteger)
    expires_at: Mapped[datetime]

    job: Mapped[Job | None] = relationship(lazy="raise")
