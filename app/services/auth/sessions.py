"""Sessions as their owner sees them: list, revoke, log out here and everywhere."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, delete, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.exceptions.base import NotFoundException
from app.models.session import Session
from app.services.auth.audit import Event, record
from app.services.auth.gate import Gate
from app.services.auth.origin import Origin
from app.services.auth.principal import Principal


class Reason(StrEnum):
    """Why a session was ended before its time."""

    LOGOUT = "logout"
    REVOKED = "revoked"
    LOGOUT_ALL = "logout_all"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason's name
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a reason's name
    REFRESH_REUSED = "refresh_reused"
    DISABLED = "disabled"
    DELETED = "deleted"


def open_sessions(user_id: uuid.UUID | InstrumentedAttribute[uuid.UUID]) -> ColumnElement[bool]:
    """The condition on an account's sessions that still hold."""
    return and_(
        Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > func.clock_timestamp()
    )


async def list_sessions(
    session: AsyncSession, *, user_id: uuid.UUID, offset: int = 0, limit: int = 20
) -> tuple[Sequence[Session], int]:
    """A part of an account's open sessions, newest first, and how many there are."""
    wanted = select(Session).where(open_sessions(user_id))
    total = await session.scalar(select(func.count()).select_from(wanted.subquery()))
    rows = await session.scalars(wanted.order_by(Session.id.desc()).offset(offset).limit(limit))
    return rows.all(), total or 0


async def revoke_session(
    session: AsyncSession, session_id: uuid.UUID, *, by: Principal, gate: Gate, origin: Origin
) -> None:
    """End one of the principal's own sessions.

    Raises:
        NotFoundException: the account has no such open session.
    """
    if not await revoke(session, Session.id == session_id, user_id=by.user_id, reason=Reason.REVOKED):
        raise NotFoundException("Session not found")
    gate.forget_after(session, session_id=session_id)
    await record(session, Event.SESSION_REVOKED, by=by, origin=origin, revoked=str(session_id))


async def log_out(session: AsyncSession, *, by: Principal, gate: Gate, origin: Origin) -> None:
    """End the session that the principal came with. One that has ended meanwhile stays as it is."""
    if await revoke(session, Session.id == by.session_id, user_id=by.user_id, reason=Reason.LOGOUT):
        await record(session, Event.LOGOUT, by=by, origin=origin)
    gate.forget_after(session, session_id=by.session_id)


async def log_out_everywhere(session: AsyncSession, *, by: Principal, gate: Gate, origin: Origin) -> None:
    """End all sessions of the principal's account, the one it came with too."""
    ended = await revoke(session, user_id=by.user_id, reason=Reason.LOGOUT_ALL)
    gate.forget_after(session, by.user_id)
    await record(session, Event.SESSIONS_REVOKED, by=by, origin=origin, sessions=ended)


async def revoke(
    session: AsyncSession, *which: ColumnElement[bool], user_id: uuid.UUID, reason: Reason
) -> int:
    """End the account's open sessions that fit all conditions; gives how many.

    Access tokens of theirs end within ``REVOCATION_SECONDS``, and at once in a process whose gate is told
    (``Gate.forget_after``).
    """
    ended = await session.scalars(
        update(Session)
        .where(open_sessions(user_id), *which)
        # The end is the end: pruning then has one column to look at.
        .values(revoked_at=func.clock_timestamp(), expires_at=func.clock_timestamp(), revoked_reason=reason)
        .returning(Session.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())


async def prune_sessions(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete up to ``limit`` sessions that ended more than ``days`` days ago; gives how many."""
    old = (
        select(Session.id)
        .where(Session.expires_at < func.now() - literal(timedelta(days=days)))
        .order_by(Session.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    deleted = await session.scalars(delete(Session).where(Session.id.in_(old)).returning(Session.id))
    return len(deleted.all())
