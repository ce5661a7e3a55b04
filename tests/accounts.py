"""Accounts that every test's database holds, and credentials of theirs."""

import uuid
from typing import Final

import psycopg

from app.core.config import AppSettings
from app.core.security import KeyRing
from app.services.auth.tokens import Tokens

OWNER: Final = uuid.UUID("01900000-0000-7000-8000-000000000001")
"""Role `user`; the fixture `client` acts for it."""
OTHER: Final = uuid.UUID("01900000-0000-7000-8000-000000000002")
"""Role `user`, somebody else."""
ADMIN: Final = uuid.UUID("01900000-0000-7000-8000-000000000003")
SERVICE: Final = uuid.UUID("01900000-0000-7000-8000-000000000004")

ROLES: Final = {OWNER: "user", OTHER: "user", ADMIN: "admin", SERVICE: "service"}
EMAILS: Final = {
    OWNER: "owner@example.com",
    OTHER: "other@example.com",
    ADMIN: "admin@example.com",
    SERVICE: "service@example.com",
}


def session_of(user_id: uuid.UUID) -> uuid.UUID:
    """The id of the session that `seed` makes for an account."""
    return uuid.UUID(int=user_id.int + (1 << 64))


def seed(connection: psycopg.Connection) -> None:
    """Insert the accounts, each with a verified address, without a password, and with one open session."""
    for user_id, role in ROLES.items():
        connection.execute(
            "INSERT INTO users (id, email, role, email_verified_at) VALUES (%s, %s, %s, now()) "
            "ON CONFLICT DO NOTHING",
            (user_id, EMAILS[user_id], role),
        )
        connection.execute(
            "INSERT INTO sessions (id, user_id, refresh_hash, last_used_at, expires_at) "
            "VALUES (%s, %s, %s, now(), now() + interval '1 day') ON CONFLICT DO NOTHING",
            (session_of(user_id), user_id, "0" * 64),
        )


def bearer(
    settings: AppSettings, user_id: uuid.UUID = OWNER, session_id: uuid.UUID | None = None
) -> dict[str, str]:
    """Headers with an access token of an account that `seed` made, which holds for a day.

    It is of the session that `seed` made where no other is given.
    """
    tokens = Tokens(KeyRing.from_settings(settings.auth), settings.auth)
    token = tokens.access(user_id, session_id or session_of(user_id), seconds=86400)
    return {"Authorization": f"Bearer {token}"}
