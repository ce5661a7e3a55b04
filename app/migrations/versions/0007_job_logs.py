"""What jobs tell their owners, and who waits for their events."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_logs",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("level", sa.String(8), nullable=False),
        sa.Column("message", sa.String(1000), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_job_logs"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_logs_job_id_jobs", ondelete="CASCADE"),
        sa.CheckConstraint("level IN ('info', 'warning', 'error')", name=op.f("ck_job_logs_level")),
    )
    op.create_index("ix_job_logs_job_id", "job_logs", ["job_id", "id"])
    op.create_table(
        "job_watches",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_watches"),
        prefixes=["UNLOGGED"],
    )
    op.execute(
        "CREATE FUNCTION notify_of_job_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT FROM job_watches WHERE job_id = NEW.job_id AND until > clock_timestamp()) THEN "
        "PERFORM pg_notify('holdfast_job_events', NEW.job_id || ' ' || NEW.id); "
        "END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER job_events_notify AFTER INSERT ON job_events "
        "FOR EACH ROW EXECUTE FUNCTION notify_of_job_event()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER job_events_notify ON job_events")
    op.execute("DROP FUNCTION notify_of_job_event()")
    op.drop_table("job_watches")
    op.drop_table("job_logs")
