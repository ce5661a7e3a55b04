"""How sessions end, are forgotten by processes, and are pruned."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import KeyRing
from app.models.session import Session
from app.services.auth.gate import Gate
from app.services.auth.sessions import Reason, prune_sessions, revoke
from app.services.auth.tokens import InvalidTokenError, Tokens
from tests.accounts import ADMIN, OTHER, OWNER, SERVICE, session_of


async def end(session: AsyncSession, user_id: uuid.UUID, days: float) -> None:
    ended = func.now() - literal(timedelta(days=days))
    await session.execute(update(Session).where(Session.user_id == user_id).values(expires_at=ended))


async def test_sessions_that_ended_long_ago_go(session: AsyncSession) -> None:
    await end(session, OWNER, 31)
    await end(session, OTHER, 29)
    assert await prune_sessions(session, days=30, limit=10) == 1
    left = set(await session.scalars(select(Session.user_id)))
    assert left == {OTHER, ADMIN, SERVICE}


async def test_pruning_goes_in_steps(session: AsyncSession) -> None:
    for user_id in (OWNER, OTHER, ADMIN):
        await end(session, user_id, 31)
    assert await prune_sessions(session, days=30, limit=2) == 2
    assert await prune_sessions(session, days=30, limit=2) == 1


async def test_a_revoked_session_has_ended_and_is_pruned_in_its_time(session: AsyncSession) -> None:
    assert await revoke(session, user_id=OWNER, reason=Reason.LOGOUT) == 1
    await session.refresh(row := await session.get_one(Session, session_of(OWNER)))
    assert not await session.scalar(select(literal(row.expires_at) > func.clock_timestamp()))
    assert await revoke(session, user_id=OWNER, reason=Reason.DISABLED) == 0
    await session.refresh(row)
    assert row.revoked_reason == "logout"


@pytest.fixture
def tokens(settings: AppSettings) -> Tokens:
    return Tokens(KeyRing.from_settings(settings.auth), settings.auth)


async def test_a_process_forgets_after_the_commit_and_not_before(
    settings: AppSettings, sessions: Sessions, tokens: Tokens
) -> None:
    gate = Gate(tokens, sessions, settings.auth.model_copy(update={"revocation_seconds": 60}))
    token = tokens.access(OWNER, session_of(OWNER))
    await gate.by_token(token)
    async with transaction(sessions) as session:
        await revoke(session, user_id=OWNER, reason=Reason.LOGOUT)
        gate.forget_after(session, OWNER)
        # Asked in between: what is remembered now must not outlive the commit.
        await gate.by_token(token)
    with pytest.raises(InvalidTokenError):
        await gate.by_token(token)


async def test_what_is_rolled_back_is_not_forgotten(
    settings: AppSettings, sessions: Sessions, tokens: Tokens
) -> None:
    gate = Gate(tokens, sessions, settings.auth.model_copy(update={"revocation_seconds": 60}))
    token = tokens.access(OWNER, session_of(OWNER))
    principal = await gate.by_token(token)
    async with sessions() as session:
        gate.forget_after(session, OWNER)
        await session.rollback()
    assert await gate.by_token(token) is principal


async def test_another_process_follows_a_while_later(
    settings: AppSettings, sessions: Sessions, tokens: Tokens
) -> None:
    gate = Gate(tokens, sessions, settings.auth.model_copy(update={"revocation_seconds": 0.3}))
    token = tokens.access(OWNER, session_of(OWNER))
    await gate.by_token(token)
    async with transaction(sessions) as session:
        await revoke(session, user_id=OWNER, reason=Reason.LOGOUT)
    while True:
        try:
            await gate.by_token(token)
        except InvalidTokenError:
            break
        await asyncio.sleep(0.02)
