"""Exchanging a refresh token for the next one.

Each token is used once (RFC 9700, section 4.14.2). One that comes back after it was replaced was stolen from
its owner, or its owner's successor was: nobody knows which, so the session ends. For a few seconds after the
exchange it is no theft: tabs refresh at the same moment, and answers are lost. All of them are given the same
successor.
"""

import uuid

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions, transaction
from app.core.security import same
from app.exceptions.base import UnauthorizedException
from app.models.session import Session
from app.models.user import User, UserRole
from app.services.auth.audit import Event, record
from app.services.auth.gate import Gate
from app.services.auth.grants import Grant, Grants
from app.services.auth.login import CHALLENGE
from app.services.auth.origin import Origin
from app.services.auth.principal import Principal
from app.services.auth.refresh_tokens import RefreshToken
from app.services.auth.sessions import Reason, open_sessions, revoke
from app.services.auth.tokens import InvalidTokenError


class InvalidRefreshTokenException(UnauthorizedException):
    """The token is forged, was replaced, or its session has ended."""

    code = "invalid_refresh_token"
    default_message = "The refresh token does not hold any more. Log in again."


async def refresh(sessions: Sessions, text: str, *, grants: Grants, gate: Gate, origin: Origin) -> Grant:
    """The next pair of tokens of a session.

    Raises:
        InvalidRefreshTokenException: there is none. A genuine token that was replaced ends its session.
    """
    token = _genuine(grants, text)
    async with transaction(sessions) as session:
        # A theft is written down and ends the session in here, so the refusal must not roll it back.
        grant = await _exchange(session, token, grants, gate, origin)
    if grant is None:
        raise InvalidRefreshTokenException(headers=CHALLENGE)
    return grant


def session_of(text: str, *, grants: Grants) -> uuid.UUID:
    """The session that a refresh token says it is of, without a look at whether that still holds.

    Raises:
        InvalidRefreshTokenException: it was not made here.
    """
    return _genuine(grants, text).session_id


async def holder(sessions: Sessions, text: str, *, grants: Grants) -> Principal:
    """Whose session a refresh token is of, replaced or not. It may do nothing but know and end its session.

    Raises:
        InvalidRefreshTokenException: it was not made here, or its session has ended.
    """
    token = _genuine(grants, text)
    async with transaction(sessions) as session:
        found = await _open_session(session, token, lock=False)
    if found is None:
        raise InvalidRefreshTokenException(headers=CHALLENGE)
    _, user = found
    return Principal(user.id, UserRole(user.role), frozenset(), session_id=token.session_id)


def _genuine(grants: Grants, text: str) -> RefreshToken:
    try:
        return grants.refresh_tokens.read(text)
    except InvalidTokenError as error:
        raise InvalidRefreshTokenException(headers=CHALLENGE) from error


async def _exchange(
    session: AsyncSession, token: RefreshToken, grants: Grants, gate: Gate, origin: Origin
) -> Grant | None:
    found = await _open_session(session, token, lock=True)
    if found is None:
        return None
    row, user = found
    if same(row.refresh_hash, token.hash):
        return await grants.rotate(session, user, token)
    if same(row.previous_hash or "", token.hash) and await _in_grace(session, row, grants):
        return _asked_again(row, user, token, grants)
    await revoke(session, Session.id == row.id, user_id=user.id, reason=Reason.REFRESH_REUSED)
    gate.forget_after(session, session_id=row.id)
    await record(
        session,
        Event.REFRESH_REUSED,
        user_id=user.id,
        origin=origin,
        reused_of=str(row.id),
        rotations=row.rotations,
    )
    return None


def _asked_again(row: Session, user: User, token: RefreshToken, grants: Grants) -> Grant | None:
    """The same successor as before. None where the key that it was derived with is gone: no theft either."""
    successors = grants.refresh_tokens.successors(token)
    made = next((successor for successor in successors if same(row.refresh_hash, successor.hash)), None)
    return grants.grant(user, made) if made else None


async def _open_session(
    session: AsyncSession, token: RefreshToken, *, lock: bool
) -> tuple[Session, User] | None:
    asked = (
        select(Session, User)
        .join(User, User.id == Session.user_id)
        .where(Session.id == token.session_id, open_sessions(User.id))
        .where(User.disabled_at.is_(None), User.deleted_at.is_(None))
    )
    if lock:
        asked = asked.with_for_update(of=Session)
    row = (await session.execute(asked)).one_or_none()
    return (row[0], row[1]) if row else None


async def _in_grace(session: AsyncSession, row: Session, grants: Grants) -> bool:
    # Asked after the lock was got: the statement that waited for it has the time from before.
    ends = literal(row.rotated_at) + literal(grants.grace)
    return bool(await session.scalar(select(func.clock_timestamp() < ends)))
