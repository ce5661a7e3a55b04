"""API keys: made, listed, revoked. The key itself is shown once; what is kept is its digest."""

import secrets
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security import digest
from app.exceptions.base import ConflictException, ForbiddenException, NotFoundException
from app.models.api_key import ApiKey
from app.models.user import User, UserRole
from app.services.auth import audit
from app.services.auth.audit import Event
from app.services.auth.gate import KEY_PREFIX, Gate
from app.services.auth.origin import Origin
from app.services.auth.principal import Principal
from app.services.auth.scopes import key_scopes

MOST_KEYS: Final = 100
"""Keys of one account that hold at the same time."""

_RANDOM_BYTES: Final = 32
_SHOWN: Final = len(KEY_PREFIX) + 8
"""Characters by which a key is known again; the 35 behind them stay out of reach of any guess."""


async def create(
    session: AsyncSession,
    *,
    user_id: uuid.UUID,
    name: str,
    scopes: Iterable[str],
    days: int,
    by: Principal,
    origin: Origin | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; gives its row and the key.

    Args:
        session: the transaction.
        user_id: the account that the key acts for.
        name: what it is for.
        scopes: what it may do.
        days: how long it holds.
        by: who makes it.
        origin: from where.

    Raises:
        ForbiddenException: a scope is none that keys of this account may have, or its password is to be
            changed first.
        ConflictException: the account has as many keys as it may have.
        NotFoundException: there is no such account.
    """
    # Locked, so that keys made at the same time are counted, and not by a role that is being taken away.
    account = await session.get(User, user_id, with_for_update={"key_share": True}, populate_existing=True)
    if account is None or account.disabled_at or account.deleted_at:
        raise NotFoundException("No such account, or it is disabled.")
    if account.password_change_required:
        raise ForbiddenException("Change the one-time password first (POST /api/v1/auth/password).")
    wanted = sorted(set(scopes))
    _require_allowed(wanted, UserRole(account.role))
    await _require_room(session, user_id)
    text = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    key = ApiKey(
        user_id=user_id,
        name=name,
        prefix=text[:_SHOWN],
        key_hash=digest(text),
        scopes=wanted,
        expires_at=func.now() + timedelta(days=days),
    )
    session.add(key)
    await session.flush()
    await session.refresh(key)
    await audit.record(
        session, Event.KEY_CREATED, user_id=user_id, by=by, origin=origin, key_id=str(key.id), scopes=wanted
    )
    return key, text


async def page(
    session: AsyncSession, *, user_id: uuid.UUID, offset: int, limit: int
) -> tuple[list[ApiKey], int]:
    """Some of an account's keys, newest first, and how many there are in all."""
    counted = select(func.count()).select_from(ApiKey).where(ApiKey.user_id == user_id)
    rows = select(ApiKey).where(ApiKey.user_id == user_id).order_by(ApiKey.id.desc())
    found = await session.scalars(rows.offset(offset).limit(limit))
    return list(found), (await session.execute(counted)).scalar_one()


async def get(session: AsyncSession, key_id: uuid.UUID, *, user_id: uuid.UUID) -> ApiKey:
    """One key.

    Raises:
        NotFoundException: there is none, or it is another's.
    """
    return await _own(session, key_id, user_id)


async def revoke(
    session: AsyncSession,
    key_id: uuid.UUID,
    *,
    user_id: uuid.UUID,
    by: Principal,
    gate: Gate,
    origin: Origin | None = None,
) -> None:
    """End a key; one that has ended already stays as it is.

    Raises:
        NotFoundException: there is none, or it is another's.
    """
    key = await _own(session, key_id, user_id, lock=True)
    if key.revoked_at is not None:
        return
    key.revoked_at = func.now()
    # The end is the end: pruning then has one column to look at.
    key.expires_at = func.least(ApiKey.expires_at, func.now())
    gate.forget_after(session, user_id)
    await audit.record(session, Event.KEY_REVOKED, user_id=user_id, by=by, origin=origin, key_id=str(key_id))


async def revoke_all(session: AsyncSession, user_id: uuid.UUID) -> int:
    """End all keys of an account; gives how many. The caller tells the gate, and writes it down."""
    ended = await session.scalars(
        update(ApiKey)
        .where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None), _holds())
        .values(revoked_at=func.now(), expires_at=func.least(ApiKey.expires_at, func.now()))
        .returning(ApiKey.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())


async def prune_api_keys(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete up to ``limit`` keys that ended more than ``days`` days ago; gives how many."""
    old = (
        select(ApiKey.id)
        .where(ApiKey.expires_at < func.now() - literal(timedelta(days=days)))
        .order_by(ApiKey.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    deleted = await session.scalars(delete(ApiKey).where(ApiKey.id.in_(old)).returning(ApiKey.id))
    return len(deleted.all())


async def _own(session: AsyncSession, key_id: uuid.UUID, user_id: uuid.UUID, *, lock: bool = False) -> ApiKey:
    wanted = select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id)
    key = await session.scalar(wanted.with_for_update() if lock else wanted)
    if key is None:
        raise NotFoundException("API key not found")
    return key


def _require_allowed(wanted: list[str], role: UserRole) -> None:
    allowed = sorted(key_scopes(role))
    refused = [scope for scope in wanted if scope not in allowed]
    if refused:
        raise ForbiddenException(
            f"A key of this account may have {', '.join(allowed)}.",
            details={"refused_scopes": refused, "allowed_scopes": allowed},
        )


async def _require_room(session: AsyncSession, user_id: uuid.UUID) -> None:
    counted = select(func.count()).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None), _holds())
    if (await session.execute(counted)).scalar_one() >= MOST_KEYS:
        raise ConflictException(f"An account may have {MOST_KEYS} keys at a time: revoke one first.")


def _holds() -> ColumnElement[bool]:
    return or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
