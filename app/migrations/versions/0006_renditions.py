"""Renditions of media files: posters, previews and waveforms."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEYS = ("poster_key", "preview_key", "waveform_key")


def upgrade() -> None:
    for name in KEYS:
        op.add_column("media_files", sa.Column(name, sa.String(64)))
        op.create_index(f"ix_media_files_{name}", "media_files", [name])
    op.add_column("media_files", sa.Column("preview_type", sa.String(64)))


def downgrade() -> None:
    op.drop_column("media_files", "preview_type")
    for name in KEYS:
        op.drop_index(f"ix_media_files_{name}", "media_files")
        op.drop_column("media_files", name)
