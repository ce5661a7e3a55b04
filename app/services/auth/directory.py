"""Accounts as an administrator sees them: found, made, changed."""

import uuid
from typing import Any, Final

from sqlalchemy import ColumnElement, UnaryExpression, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import ConflictException, ForbiddenException, NotFoundException
from app.models.user import AccountStatus, User, UserRole
from app.schemas.admin import AccountOrder, AccountResponse
from app.services.auth import audit, sessions
from app.services.auth.administrators import one_time_password, require_another
from app.services.auth.audit import Event
from app.services.auth.gate import Gate
from app.services.auth.origin import Origin
from app.services.auth.passwords import Passwords
from app.services.auth.principal import Principal
from app.services.auth.sessions import Reason
from app.services.users import INTERNAL
from app.services.versions import require_match

_STATUS: Final[dict[AccountStatus, ColumnElement[bool]]] = {
    AccountStatus.ACTIVE: User.deleted_at.is_(None) & User.disabled_at.is_(None),
    AccountStatus.DISABLED: User.deleted_at.is_(None) & User.disabled_at.is_not(None),
    AccountStatus.DELETED: User.deleted_at.is_not(None),
}
# Ids are in the order of their times.
_ORDER: Final[dict[AccountOrder, UnaryExpression[Any]]] = {
    AccountOrder.OLDEST: User.id.asc(),
    AccountOrder.NEWEST: User.id.desc(),
    AccountOrder.EMAIL: User.email.asc(),
    AccountOrder.EMAIL_BACKWARDS: User.email.desc(),
}


async def page(
    session: AsyncSession,
    *,
    offset: int,
    limit: int,
    search: str | None = None,
    role: UserRole | None = None,
    status: AccountStatus | None = None,
    order: AccountOrder = AccountOrder.NEWEST,
) -> tuple[list[User], int]:
    """Some accounts, and how many there are in all; ``search`` is a part of the address or the name."""
    wanted: list[ColumnElement[bool]] = [User.id.not_in(INTERNAL)]
    if search:
        wanted.append(or_(*(column.icontains(search, autoescape=True) for column in (User.email, User.name))))
    if role is not None:
        wanted.append(User.role == role)
    if status is not None:
        wanted.append(_STATUS[status])
    total = (await session.execute(select(func.count()).select_from(User).where(*wanted))).scalar_one()
    rows = select(User).where(*wanted).order_by(_ORDER[order]).offset(offset).limit(limit)
    return list(await session.scalars(rows)), total


async def get(session: AsyncSession, user_id: uuid.UUID, *, lock: bool = False) -> User:
    """One account.

    Raises:
        NotFoundException: there is none.
    """
    wanted = select(User).where(User.id == user_id, User.id.not_in(INTERNAL))
    if lock:
        # Read anew under the lock: what this session read before may be old.
        wanted = wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
    user = await session.scalar(wanted)
    if user is None:
        raise NotFoundException("User not found")
    return user


async def create(
    session: AsyncSession,
    passwords: Passwords,
    *,
    email: str,
    name: str,
    role: UserRole,
    by: Principal,
    origin: Origin,
) -> tuple[User, str | None]:
    """Make an account; gives it with its one-time password, None for a service.

    Raises:
        ConflictException: the address has an account.
        ForbiddenException: an API key asks for an administrator.
    """
    _require_login(by, role)
    # Before the first statement: no connection is held meanwhile, but where an Idempotency-Key took one.
    password = None if role is UserRole.SERVICE else one_time_password()
    hashed = await passwords.hash(password) if password else None
    made = await session.scalar(
        insert(User)
        .values(
            email=email,
            name=name,
            role=role,
            password_hash=hashed,
            password_change_required=password is not None,
            # An administrator vouches for it.
            email_verified_at=func.now(),
        )
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User)
    )
    if made is None:
        raise ConflictException("Another account has this address.")
    await audit.record(session, Event.CREATED, user_id=made.id, by=by, origin=origin, role=role)
    return made, password


async def change(
    session: AsyncSession,
    user_id: uuid.UUID,
    *,
    role: UserRole | None = None,
    disabled: bool | None = None,
    name: str | None = None,
    by: Principal,
    gate: Gate,
    origin: Origin,
    if_match: str | None = None,
) -> User:
    """Change what is given.

    Raises:
        NotFoundException: there is no such account.
        ConflictException: it is being deleted, is a service that is to be something else, or is the last
            administrator.
        ForbiddenException: an API key asks for an administrator.
        PreconditionFailedException: it is not what the caller has seen.
    """
    if role is UserRole.USER or disabled:
        # Before the account's own row: all who take such a role away lock in one order.
        await require_another(session, user_id)
    user = await get(session, user_id, lock=True)
    if user.status is AccountStatus.DELETED:
        raise ConflictException("The account is being deleted.")
    require_match(AccountResponse.model_validate(user), if_match)
    if name is not None and name != user.name:
        user.name = name
        await audit.record(session, Event.UPDATED, user_id=user_id, by=by, origin=origin, changed=["name"])
    if role is not None and role != user.role:
        await _change_role(session, user, role, by=by, origin=origin)
    if disabled is not None and disabled == (user.disabled_at is None):
        await _disable(session, user, disabled=disabled, by=by, origin=origin)
    gate.forget_after(session, user_id)
    await session.flush()
    await session.refresh(user)
    return user


async def require_service(session: AsyncSession, user_id: uuid.UUID) -> None:
    """See that an account is a service: a person makes the keys that act for it.

    Raises:
        NotFoundException: there is no such account.
        ConflictException: it is a person's.
    """
    if (await get(session, user_id)).role != UserRole.SERVICE:
        raise ConflictException(
            "Only service accounts get keys from an administrator: its owner makes these."
        )


async def log_out_everywhere(
    session: AsyncSession, user_id: uuid.UUID, *, by: Principal, gate: Gate, origin: Origin
) -> None:
    """End all sessions of an account.

    Raises:
        NotFoundException: there is no such account.
    """
    await get(session, user_id)
    ended = await sessions.revoke(session, user_id=user_id, reason=Reason.REVOKED)
    gate.forget_after(session, user_id)
    await audit.record(session, Event.SESSIONS_REVOKED, user_id=user_id, by=by, origin=origin, sessions=ended)


async def _change_role(
    session: AsyncSession, user: User, role: UserRole, *, by: Principal, origin: Origin
) -> None:
    _require_login(by, role)
    if user.role == UserRole.SERVICE:
        raise ConflictException("A service account stays one: make another account instead.")
    await audit.record(
        session, Event.ROLE_CHANGED, user_id=user.id, by=by, origin=origin, before=user.role, after=role
    )
    user.role = role


async def _disable(
    session: AsyncSession, user: User, *, disabled: bool, by: Principal, origin: Origin
) -> None:
    user.disabled_at = func.now() if disabled else None
    event = Event.DISABLED if disabled else Event.ENABLED
    await audit.record(session, event, user_id=user.id, by=by, origin=origin)
    if disabled:
        await sessions.revoke(session, user_id=user.id, reason=Reason.DISABLED)


def _require_login(by: Principal, role: UserRole) -> None:
    if role is UserRole.ADMIN and by.session_id is None:
        # A stolen key would make itself an administrator that outlives it.
        raise ForbiddenException("An administrator is made at a login, not by an API key.")
