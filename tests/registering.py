"""Somebody who registers, and what is left of it."""

from typing import Final

import httpx
from sqlalchemy import select

from app.core.database import Sessions
from app.models.audit_event import AuditEvent
from app.models.user import User

ANNA: Final = {"email": "anna@example.org", "name": "Anna"}
CHOSEN: Final = "a long enough password"


async def post(http: httpx.AsyncClient, path: str, **body: object) -> httpx.Response:
    """Ask a route below /auth."""
    return await http.post(f"/api/v1/auth{path}", json=body)


async def log_in(http: httpx.AsyncClient, password: str = CHOSEN, email: str = ANNA["email"]) -> int:
    """The status of a login."""
    return (await post(http, "/login", email=email, password=password)).status_code


async def user(sessions: Sessions, email: str = ANNA["email"]) -> User | None:
    """The account with an address."""
    async with sessions() as session:
        return await session.scalar(select(User).where(User.email == email))


async def known(sessions: Sessions, email: str = ANNA["email"]) -> User:
    """The same, where there must be one."""
    found = await user(sessions, email)
    assert found is not None
    return found


async def events(sessions: Sessions) -> list[str]:
    """What was written down, in order."""
    async with sessions() as session:
        return list(await session.scalars(select(AuditEvent.event).order_by(AuditEvent.created_at)))
