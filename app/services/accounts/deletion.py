"""Deleting one's own account: it ends at once, and a job takes what belonged to it."""

import uuid
from typing import Final

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import func

from app.models.api_key import ApiKey
from app.models.user import User, UserRole
from app.services.accounts.credentials import locked
from app.services.accounts.profile import AccountGoneException
from app.services.auth import administrators, audit, sessions
from app.services.auth.audit import Event
from app.services.auth.gate import Gate
from app.services.auth.login import Desk
from app.services.auth.origin import Origin
from app.services.auth.password_change import require_password
from app.services.auth.principal import Principal
from app.services.auth.sessions import Reason
from app.services.jobs import enqueue
from app.services.users import SYSTEM_OWNER

DELETE: Final = "accounts.delete"
"""The name of the job that takes an account's data."""


async def delete_account(
    session: AsyncSession, desk: Desk, *, password: str, by: Principal, gate: Gate, origin: Origin
) -> None:
    """End the principal's account and free its address.

    Raises:
        AccountGoneException: it has ended a moment ago.
        ConflictException: it is the last administrator.
        TooManyRequestsException: too many wrong passwords.
        WrongPasswordException: the password is another.
    """
    await require_password(desk, by.user_id, password, origin=origin)
    if by.role is UserRole.ADMIN:
        # Before the account's own row: all who take such a role away lock in one order.
        await administrators.require_another(session, by.user_id)
    user = await locked(session, by.user_id)
    if user is None:
        raise AccountGoneException
    await _end(session, user)
    await sessions.revoke(session, user_id=user.id, reason=Reason.DELETED)
    gate.forget_after(session, user.id)
    await audit.record(session, Event.DELETION_ASKED, by=by, origin=origin)
    # Not the account's own job: it would take itself along.
    await enqueue(session, DELETE, {"user_id": user.id}, owner_id=SYSTEM_OWNER)


async def _end(session: AsyncSession, user: User) -> None:
    user.deleted_at = func.now()
    user.email = released_address(user.id)
    user.pending_email = user.password_hash = None
    user.name = ""
    valid = update(ApiKey).where(ApiKey.user_id == user.id, ApiKey.revoked_at.is_(None))
    await session.execute(valid.values(revoked_at=func.now()))
    await session.flush()


def released_address(user_id: uuid.UUID) -> str:
    """What stands in place of a deleted account's address; nobody can have it (RFC 2606, section 2)."""
    return f"deleted-{user_id}@invalid.invalid"
