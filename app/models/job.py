"""Durable jobs: the row is the truth, what the broker carries is only a doorbell."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified, Timestamped


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


WAITING: Final = (JobState.QUEUED, JobState.RETRYING)
ENDED: Final = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def _listed(states: tuple[JobState, ...]) -> str:
    return "state IN ({})".format(", ".join(f"'{state}'" for state in states))


EVENTS_CHANNEL: Final = "holdfast_job_events"
"""Where PostgreSQL tells of events: ``JOB_ID EVENT_ID``."""

WAITING_CLAUSE: Final = _listed(WAITING)
"""Written out, so that PostgreSQL can prove that a query fits the partial index."""


class Job(Identified, Timestamped, Base):
    """One accepted piece of work.

    ``attempt`` only grows: with the state it is the fence that lets one attempt alone complete a job.
    ``max_attempts`` is the number of the last attempt; the worker that claims the job first sets it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_listed(tuple(JobState)), name="state"),
        CheckConstraint("progress BETWEEN 0 AND 1", name="progress"),
        CheckConstraint("(state = 'running') = (lease_expires_at IS NOT NULL)", name="lease"),
        CheckConstraint(f"({_listed(ENDED)}) = (finished_at IS NOT NULL)", name="finished"),
        Index("ix_jobs_due", "queue", "run_at", "id", postgresql_where=text(WAITING_CLAUSE)),
        Index("ix_jobs_lease", "lease_expires_at", postgresql_where=text("state = 'running'")),
        Index("ix_jobs_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("ix_jobs_owner_id", "owner_id", "id"),
        Index("ix_jobs_owner_id_state", "owner_id", "state", "id"),
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str]
    queue: Mapped[str]
    args: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(default=JobState.QUEUED, server_default=JobState.QUEUED)
    progress: Mapped[float] = mapped_column(default=0.0, server_default=text("0"))
    progress_word: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    max_attempts: Mapped[int | None]
    deaths: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    run_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_expires_at: Mapped[datetime | None]
    worker: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    request_id: Mapped[str | None]


class JobEvent(Base):
    """What happened to a job, in order; rows are only ever added.

    Each is written in the transaction that changed the job's row; its lock puts the ids of one job in order.
    A trigger notifies ``EVENTS_CHANNEL`` of each event of a job that is watched (``JobWatch``).
    """

    __tablename__ = "job_events"
    __table_args__ = (Index("ix_job_events_job_id", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    state: Mapped[str]
    attempt: Mapped[int]
    progress: Mapped[float]
    progress_word: Mapped[str | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class JobWatch(Base):
    """Jobs whose events somebody waits for, until a moment that whoever waits puts off again and again.

    A NOTIFY makes all commits that have one wait for each other (PostgreSQL's own order of its queue), so
    that only those have one that somebody hears. Unlogged: after a crash those who wait write it anew.
    """

    __tablename__ = "job_watches"
    __table_args__ = {"prefixes": ["UNLOGGED"]}  # noqa: RUF012 - SQLAlchemy's own declaration

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    until: Mapped[datetime]


class JobLog(Base):
    """What a job told its owner while it ran.

    Ids are of the sequence of ``job_events``, drawn under the lock of the job's row: lines and events of one
    job have one order, in which none appears behind another that was read already.
    """

    __tablename__ = "job_logs"
    __table_args__ = (
        CheckConstraint("level IN ('info', 'warning', 'error')", name="level"),
        Index("ix_job_logs_job_id", "job_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    level: Mapped[str] = mapped_column(String(8))
    message: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
