"""Logging in with an address and a password.

An address without an account, a wrong password and an account that may not log in cannot be told apart: the
same answer, and the same work for it. No connection to the database is held while a password is hashed.
"""

import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions, transaction
from app.exceptions.base import UnauthorizedException
from app.models.user import User, UserRole
from app.services.auth.audit import Event, record
from app.services.auth.grants import Grant, Grants
from app.services.auth.origin import Origin
from app.services.auth.passwords import Passwords
from app.services.auth.principal import Principal
from app.services.auth.throttle import Throttle

CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class InvalidCredentialsException(UnauthorizedException):
    """No login with this address and password; why is not told."""

    code = "invalid_credentials"
    default_message = "The e-mail address or the password is wrong."


class Refusal(StrEnum):
    """Why a login was refused; for the audit log alone."""

    UNKNOWN = "unknown_address"
    DISABLED = "disabled"
    DELETED = "deleted"
    NO_PASSWORD = "no_password"  # noqa: S105 - a reason's name
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason's name
    CHANGED = "changed_meanwhile"


@dataclass(frozen=True, slots=True)
class Desk:
    """What a login needs: where accounts are, who checks passwords, counts attempts and opens sessions."""

    sessions: Sessions
    passwords: Passwords
    throttle: Throttle
    grants: Grants


@dataclass(frozen=True, slots=True)
class _Found:
    user_id: uuid.UUID | None = None
    password_hash: str | None = field(default=None, repr=False)
    standing: Refusal | None = Refusal.UNKNOWN


async def log_in(desk: Desk, email: str, password: str, *, origin: Origin, by_cookie: bool = False) -> Grant:
    """A new session for whoever knows the password.

    Raises:
        TooManyRequestsException: too many attempts; the password was not looked at.
        InvalidCredentialsException: not with this address and password.
    """
    email = email.lower()
    since = await desk.throttle.check(origin.address, email)
    found = await _look_up(desk.sessions, email)
    correct, renewed = await desk.passwords.verify(password, found.password_hash)
    refusal = found.standing or (None if correct else Refusal.WRONG_PASSWORD)
    grant = None if refusal else await _open(desk, found, renewed, origin, by_cookie=by_cookie)
    if grant is None:
        await _write_down(desk.sessions, refusal or Refusal.CHANGED, found.user_id, origin)
        await desk.throttle.failed(origin.address, email)
        raise InvalidCredentialsException(headers=CHALLENGE)
    await desk.throttle.succeeded(origin.address, email, since=since)
    return grant


async def _look_up(sessions: Sessions, email: str) -> _Found:
    async with transaction(sessions) as session:
        user = await session.scalar(select(User).where(User.email == email))
    if user is None:
        return _Found()
    return _Found(user.id, user.password_hash, _standing(user))


def _standing(user: User) -> Refusal | None:
    if user.deleted_at is not None:
        return Refusal.DELETED
    if user.disabled_at is not None:
        return Refusal.DISABLED
    return Refusal.NO_PASSWORD if user.password_hash is None else None


async def _open(
    desk: Desk, found: _Found, renewed: str | None, origin: Origin, *, by_cookie: bool
) -> Grant | None:
    """The session; none where the account changed while its password was hashed."""
    async with transaction(desk.sessions) as session:
        user = await _unchanged(session, found)
        if user is None:
            return None
        if renewed is not None:
            user.password_hash = renewed
        grant = await desk.grants.open(session, user, origin=origin, by_cookie=by_cookie)
        by = Principal(user.id, UserRole(user.role), grant.scopes, session_id=grant.session_id)
        await record(session, Event.LOGIN, by=by, origin=origin, cookie=by_cookie)
        return grant


async def _unchanged(session: AsyncSession, found: _Found) -> User | None:
    """The account as it was looked up, locked: a change of the password meanwhile ends this login too."""
    return await session.scalar(
        select(User)
        .where(User.id == found.user_id, User.password_hash == found.password_hash)
        .where(User.disabled_at.is_(None), User.deleted_at.is_(None))
        .with_for_update(key_share=True)
    )


async def _write_down(
    sessions: Sessions, refusal: Refusal, user_id: uuid.UUID | None, origin: Origin
) -> None:
    """In a transaction of its own, which the refusal does not roll back. The address is not kept: people
    type passwords into the wrong field."""
    async with transaction(sessions) as session:
        await record(session, Event.LOGIN_FAILED, user_id=user_id, origin=origin, reason=refusal)
