"""Uploaded media files."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "media_files",
        sa.Column("id", sa.Uuid(), nullable=False),
        *(_moment(name) for name in ("created_at", "updated_at")),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("mime_type", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("probe", postgresql.JSONB()),
        sa.Column("width", sa.Integer()),
        sa.Column("height", sa.Integer()),
        sa.Column("duration", sa.Float()),
        sa.Column("thumbnail_key", sa.String(64)),
        sa.Column("note", sa.String()),
        sa.Column("job_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name="pk_media_files"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_media_files_owner_id_users", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_media_files_job_id_jobs", ondelete="SET NULL"
        ),
        sa.CheckConstraint("size > 0", name=op.f("ck_media_files_size")),
        sa.CheckConstraint("kind IN ('image', 'video', 'audio')", name=op.f("ck_media_files_kind")),
    )
    op.create_index("ix_media_files_owner_id", "media_files", ["owner_id", "id"])
    for column in ("sha256", "thumbnail_key", "job_id"):
        op.create_index(f"ix_media_files_{column}", "media_files", [column])


def downgrade() -> None:
    op.drop_table("media_files")


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))
