"""Which slots of which schedules have fired. The unique pair is what makes each fire once."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified, Timestamped


class ScheduleSlot(Identified, Timestamped, Base):
    """One moment at which a schedule was due, and the job that it asked for."""

    __tablename__ = "schedule_slots"
    __table_args__ = (
        UniqueConstraint("schedule", "slot"),
        Index("ix_schedule_slots_job_id", "job_id", postgresql_where=text("job_id IS NOT NULL")),
    )

    schedule: Mapped[str]
    slot: Mapped[datetime]
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
