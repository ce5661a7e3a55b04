"""Accounts that have a password, and logins with it."""

import uuid
from typing import Any

import httpx
from sqlalchemy import update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.user import User
from app.services.auth.passwords import Passwords
from tests.accounts import EMAILS, OWNER

PASSWORD = "staple the horse"
LOGIN = "/api/v1/auth/login"
ME = "/api/v1/sessions"
"""Any path that asks for an account."""


async def give_password(
    sessions: Sessions, settings: AppSettings, user_id: uuid.UUID = OWNER, **values: Any
) -> None:
    """Let an account log in with PASSWORD; other columns are set beside it."""
    hashed = await Passwords(settings.auth).hash(PASSWORD)
    async with transaction(sessions) as session:
        await session.execute(
            update(User).where(User.id == user_id).values({"password_hash": hashed} | values)
        )


async def log_in(
    http: httpx.AsyncClient, user_id: uuid.UUID = OWNER, *, cookie: bool = False
) -> dict[str, Any]:
    """The answer to a login, which must succeed."""
    given = {"email": EMAILS[user_id], "password": PASSWORD, "cookie": cookie}
    answer = await http.post(LOGIN, json=given)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def with_token(token: str) -> dict[str, str]:
    """Headers with an access token."""
    return {"Authorization": f"Bearer {token}"}
