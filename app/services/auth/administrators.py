"""Administrators: the first one, those that the command makes, and that one always remains."""

import secrets
import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import ConflictException
from app.models.job import Job
from app.models.media_file import MediaFile
from app.models.user import AccountStatus, User, UserRole
from app.services.auth import api_keys, audit, sessions
from app.services.auth.audit import Event
from app.services.auth.passwords import Passwords
from app.services.auth.sessions import Reason
from app.services.users import BUILT_IN_OWNER

_LOCK: Final = 0x686F6C646661646D
"""The key of the advisory lock under which administrators are made from outside, one after another."""

_ONE_TIME_BYTES: Final = 12

IS_ADMINISTRATOR: Final[ColumnElement[bool]] = and_(
    User.role == UserRole.ADMIN, User.disabled_at.is_(None), User.deleted_at.is_(None)
)
"""The condition on accounts that can administrate now."""


@dataclass(frozen=True, slots=True)
class Made:
    """An administrator that was made.

    ``one_time_password`` is there where one was generated; ``promoted`` tells that the account was there.
    """

    user: User
    one_time_password: str | None
    promoted: bool


def one_time_password() -> str:
    """A password to be shown once and changed at the first login; 96 random bits."""
    return secrets.token_hex(_ONE_TIME_BYTES)


async def is_there(session: AsyncSession) -> bool:
    """Whether somebody can administrate."""
    return bool(await session.scalar(select(exists().where(IS_ADMINISTRATOR))))


async def make_first(session: AsyncSession, passwords: Passwords, *, email: str) -> Made | None:
    """Make an administrator with a one-time password where there is none; gives None where there is.

    An account that has this address already is not promoted: a stranger may have registered it.

    Raises:
        ConflictException: another account has the address.
    """
    await _alone(session)
    if await is_there(session):
        return None
    return await _make(session, passwords, email=email, name="Administrator", password=None)


async def make(
    session: AsyncSession, passwords: Passwords, *, email: str, name: str = "", password: str | None = None
) -> Made:
    """Make an administrator, or promote the account that has the address.

    Where nobody has shown that the address is his, a stranger may have registered it: its password is
    replaced. Whoever sets a password here also ends all that got in with the one before.

    Args:
        session: the transaction.
        passwords: hashes.
        email: the address, in lower case.
        name: how to call it; that of a promoted account stays where this is empty.
        password: of its own; an account that is new or not verified gets a one-time password without one.

    Raises:
        ConflictException: the account is an administrator, a service, or disabled.
    """
    await _alone(session)
    user = await session.scalar(select(User).where(User.email == email).with_for_update(key_share=True))
    if user is None:
        return await _make(session, passwords, email=email, name=name, password=password)
    _require_promotable(user)
    generated = None if password or user.email_verified_at else one_time_password()
    if password or generated:
        await _set_password(session, passwords, user, password or generated or "", is_own=generated is None)
    await _promote(session, user, name=name)
    await _take_over(session, user.id)
    return Made(user, generated, promoted=True)


async def locked(session: AsyncSession) -> set[uuid.UUID]:
    """The administrators, who stay so until the transaction ends.

    They are locked in one order, so that two who take each other's role wait instead of locking each other
    out; the second then sees what the first has done, for a row that was waited for is looked at anew.
    """
    rows = select(User.id).where(IS_ADMINISTRATOR).order_by(User.id).with_for_update(key_share=True)
    return set(await session.scalars(rows))


async def require_another(session: AsyncSession, user_id: uuid.UUID) -> None:
    """See that an administrator remains without this account; holds until the transaction ends.

    Raises:
        ConflictException: it is the last one.
    """
    if await locked(session) == {user_id}:
        raise ConflictException("This is the last administrator. Make another one first.")


async def _alone(session: AsyncSession) -> None:
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def _make(
    session: AsyncSession, passwords: Passwords, *, email: str, name: str, password: str | None
) -> Made:
    if await session.scalar(select(exists().where(User.email == email))):
        raise ConflictException(f"Another account has the address {email}.")
    generated = None if password else one_time_password()
    user = User(
        email=email,
        name=name,
        role=UserRole.ADMIN,
        password_hash=await passwords.hash(password or generated or ""),
        password_change_required=generated is not None,
        email_verified_at=func.now(),
    )
    session.add(user)
    await session.flush()
    await audit.record(session, Event.CREATED, user_id=user.id, role=UserRole.ADMIN, by_command=True)
    await _take_over(session, user.id)
    return Made(user, generated, promoted=False)


def _require_promotable(user: User) -> None:
    if user.role == UserRole.ADMIN:
        raise ConflictException(f"{user.email} is an administrator already.")
    if user.role == UserRole.SERVICE:
        raise ConflictException(f"{user.email} is a service account, and those stay what they are.")
    if user.status is not AccountStatus.ACTIVE:
        raise ConflictException(f"{user.email} is {user.status}.")


async def _set_password(
    session: AsyncSession, passwords: Passwords, user: User, password: str, *, is_own: bool
) -> None:
    user.password_hash = await passwords.hash(password)
    user.password_change_required = not is_own
    user.pending_email = None
    ended = await sessions.revoke(session, user_id=user.id, reason=Reason.PASSWORD_CHANGED)
    revoked = await api_keys.revoke_all(session, user.id)
    await audit.record(
        session,
        Event.PASSWORD_CHANGED,
        user_id=user.id,
        sessions_ended=ended,
        keys_revoked=revoked,
        by_command=True,
    )


async def _promote(session: AsyncSession, user: User, *, name: str) -> None:
    user.role = UserRole.ADMIN
    user.name = name or user.name
    # Whoever may run the command vouches for the address.
    user.email_verified_at = user.email_verified_at or func.now()
    await audit.record(
        session,
        Event.ROLE_CHANGED,
        user_id=user.id,
        before=UserRole.USER,
        after=UserRole.ADMIN,
        by_command=True,
    )


async def _take_over(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Give what was there before accounts to the first administrator."""
    if await session.get(User, BUILT_IN_OWNER) is None:
        return
    await session.execute(
        update(MediaFile).where(MediaFile.owner_id == BUILT_IN_OWNER).values(owner_id=user_id)
    )
    await session.execute(update(Job).where(Job.owner_id == BUILT_IN_OWNER).values(owner_id=user_id))
    await session.execute(delete(User).where(User.id == BUILT_IN_OWNER))
