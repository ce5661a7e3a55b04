"""Users with the built-in owner, jobs with their events, schedule slots."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BUILT_IN_OWNER = "00000000-0000-7000-8000-000000000001"


def upgrade() -> None:
    _users()
    _jobs()
    _job_events()
    _schedule_slots()


def downgrade() -> None:
    for table in ("schedule_slots", "job_events", "jobs", "users"):
        op.drop_table(table)


def _moment(name: str, *, nullable: bool = True, default: str | None = None) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        nullable=nullable,
        server_default=sa.text(default) if default else None,
    )


def _times() -> list[sa.Column[object]]:
    return [_moment(name, nullable=False, default="now()") for name in ("created_at", "updated_at")]


def _users() -> None:
    users = op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_times(),
        sa.Column("email", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.execute(users.insert().values(id=sa.text(f"'{BUILT_IN_OWNER}'"), email="owner@localhost"))


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_times(),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("args", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.String(), server_default="queued", nullable=False),
        sa.Column("progress", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("progress_word", sa.String()),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer()),
        sa.Column("deaths", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _moment("run_at", nullable=False, default="now()"),
        _moment("lease_expires_at"),
        sa.Column("worker", sa.String()),
        _moment("cancel_requested_at"),
        sa.Column("error", postgresql.JSONB()),
        sa.Column("result", postgresql.JSONB()),
        _moment("started_at"),
        _moment("finished_at"),
        sa.Column("request_id", sa.String()),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_jobs_owner_id_users", ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'retrying', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_state"),
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 1", name=op.f("ck_jobs_progress")),
        sa.CheckConstraint(
            "(state = 'running') = (lease_expires_at IS NOT NULL)", name=op.f("ck_jobs_lease")
        ),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_finished"),
        ),
    )
    _partial("ix_jobs_due", "jobs", ["queue", "run_at", "id"], "state IN ('queued', 'retrying')")
    _partial("ix_jobs_lease", "jobs", ["lease_expires_at"], "state = 'running'")
    _partial("ix_jobs_finished", "jobs", ["finished_at"], "finished_at IS NOT NULL")
    op.create_index("ix_jobs_owner_id", "jobs", ["owner_id", "id"])
    op.create_index("ix_jobs_owner_id_state", "jobs", ["owner_id", "state", "id"])


def _job_events() -> None:
    op.create_table(
        "job_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("progress_word", sa.String()),
        sa.Column("error", postgresql.JSONB()),
        _moment("created_at", nullable=False, default="clock_timestamp()"),
        sa.PrimaryKeyConstraint("id", name="pk_job_events"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_job_events_job_id_jobs", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_job_events_job_id", "job_events", ["job_id", "id"])


def _schedule_slots() -> None:
    op.create_table(
        "schedule_slots",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_times(),
        sa.Column("schedule", sa.String(), nullable=False),
        _moment("slot", nullable=False),
        sa.Column("job_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name="pk_schedule_slots"),
        sa.UniqueConstraint("schedule", "slot", name="uq_schedule_slots_schedule_slot"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_schedule_slots_job_id_jobs", ondelete="SET NULL"
        ),
    )
    _partial("ix_schedule_slots_job_id", "schedule_slots", ["job_id"], "job_id IS NOT NULL")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where))
