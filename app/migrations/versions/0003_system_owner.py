"""An owner of its own for the jobs of schedules."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BUILT_IN_OWNER = "00000000-0000-7000-8000-000000000001"
SYSTEM_OWNER = "00000000-0000-7000-8000-000000000002"


def upgrade() -> None:
    users = sa.table("users", sa.column("id", sa.Uuid()), sa.column("email", sa.String()))
    op.execute(users.insert().values(id=sa.text(f"'{SYSTEM_OWNER}'"), email="system@localhost"))
    op.execute(
        f"UPDATE jobs SET owner_id = '{SYSTEM_OWNER}' WHERE id IN (SELECT job_id FROM schedule_slots)"  # noqa: S608 - constants
    )


def downgrade() -> None:
    op.execute(
        f"UPDATE jobs SET owner_id = '{BUILT_IN_OWNER}' WHERE owner_id = '{SYSTEM_OWNER}'"  # noqa: S608 - constants
    )
    op.execute(f"DELETE FROM users WHERE id = '{SYSTEM_OWNER}'")  # noqa: S608 - constants
