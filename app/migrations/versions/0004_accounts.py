"""Accounts: passwords, roles, sessions, API keys, the audit log, kept answers and exports."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BUILT_IN_OWNER = "00000000-0000-7000-8000-000000000001"
SYSTEM_OWNER = "00000000-0000-7000-8000-000000000002"


def upgrade() -> None:
    _extend_users()
    _create_sessions()
    _create_api_keys()
    _create_audit_log()
    _create_idempotency_keys()
    _create_data_exports()


def downgrade() -> None:
    for table in ("data_exports", "idempotency_keys", "audit_log", "api_keys", "sessions"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change()")
    op.drop_index("ix_users_role", "users")
    for name in ("ck_users_role", "ck_users_email_lower"):
        op.drop_constraint(op.f(name), "users", type_="check")
    for column in (
        "pending_email",
        "name",
        "role",
        "password_hash",
        "password_change_required",
        "email_verified_at",
        "disabled_at",
        "deleted_at",
    ):
        op.drop_column("users", column)
    op.alter_column("users", "email", type_=sa.String())
    # The version before owns what it takes in by this account.
    op.execute(
        f"INSERT INTO users (id, email) VALUES ('{BUILT_IN_OWNER}', 'owner@localhost') "  # noqa: S608 - constants
        "ON CONFLICT (id) DO NOTHING"
    )


def _extend_users() -> None:
    op.execute("UPDATE users SET email = lower(email)")
    op.alter_column("users", "email", type_=sa.String(320))
    op.add_column("users", sa.Column("pending_email", sa.String(320)))
    op.add_column("users", sa.Column("name", sa.String(200), nullable=False, server_default=sa.text("''")))
    op.add_column("users", sa.Column("role", sa.String(16), nullable=False, server_default=sa.text("'user'")))
    op.add_column("users", sa.Column("password_hash", sa.String(256)))
    op.add_column(
        "users",
        sa.Column("password_change_required", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    for name in ("email_verified_at", "disabled_at", "deleted_at"):
        op.add_column("users", sa.Column(name, sa.DateTime(timezone=True)))
    op.create_check_constraint(op.f("ck_users_role"), "users", "role IN ('user', 'admin', 'service')")
    op.create_check_constraint(op.f("ck_users_email_lower"), "users", "email = lower(email)")
    op.create_index("ix_users_role", "users", ["role", "id"])
    op.execute(
        f"UPDATE users SET role = 'service', disabled_at = now() WHERE id = '{SYSTEM_OWNER}'"  # noqa: S608 - constants
    )
    # What it owns waits for the first administrator; nobody can log in as this account.
    op.execute(
        f"UPDATE users SET disabled_at = now() WHERE id = '{BUILT_IN_OWNER}'"  # noqa: S608 - constants
    )
    op.execute(
        f"DELETE FROM users WHERE id = '{BUILT_IN_OWNER}' "  # noqa: S608 - constants
        "AND NOT EXISTS (SELECT FROM media_files WHERE owner_id = users.id) "
        "AND NOT EXISTS (SELECT FROM jobs WHERE owner_id = users.id)"
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        *_identity(),
        _owner(),
        sa.Column("refresh_hash", sa.String(64), nullable=False),
        sa.Column("previous_hash", sa.String(64)),
        sa.Column("rotations", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("rotated_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_reason", sa.String(32)),
        sa.Column("by_cookie", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("address", sa.String(64)),
        sa.Column("user_agent", sa.String(200)),
        *_keys("sessions"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id", "id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        *_identity(),
        _owner(),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.String(32)), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        *_keys("api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id", "id"])
    op.create_index("ix_api_keys_expires_at", "api_keys", ["expires_at"])


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
        sa.Column("event", sa.String(64), nullable=False),
        *(sa.Column(name, sa.Uuid()) for name in ("user_id", "actor_id", "session_id", "api_key_id")),
        sa.Column("address", sa.String(64)),
        sa.Column("user_agent", sa.String(200)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("details", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_created_at", "audit_log", ["created_at", "id"])
    op.create_index("ix_audit_log_user_id", "audit_log", ["user_id", "created_at", "id"])
    op.create_index("ix_audit_log_event", "audit_log", ["event", "created_at", "id"])
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        *_identity(),
        _owner(),
        sa.Column("operation", sa.String(200), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.SmallInteger()),
        sa.Column("answer", sa.LargeBinary()),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        *_keys("idempotency_keys"),
        sa.UniqueConstraint(
            "user_id", "operation", "key_hash", name="uq_idempotency_keys_user_id_operation_key_hash"
        ),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])


def _create_data_exports() -> None:
    op.create_table(
        "data_exports",
        *_identity(),
        _owner(),
        sa.Column("job_id", sa.Uuid()),
        sa.Column("object_key", sa.String(64)),
        sa.Column("size", sa.BigInteger()),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        *_keys("data_exports"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_data_exports_job_id_jobs", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_data_exports_user_id", "data_exports", ["user_id", "id"])
    for column in ("job_id", "object_key", "expires_at"):
        op.create_index(f"ix_data_exports_{column}", "data_exports", [column])


def _identity() -> tuple[sa.Column[Any], ...]:
    moments = (
        sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))
        for name in ("created_at", "updated_at")
    )
    return (sa.Column("id", sa.Uuid(), nullable=False), *moments)


def _owner() -> sa.Column[object]:
    return sa.Column("user_id", sa.Uuid(), nullable=False)


def _keys(table: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
        ),
    )
