"""Refreshing, many at once and over changes of keys."""

import asyncio
import uuid

import pytest
from sqlalchemy import func, select, text

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import KeyRing
from app.models.audit_event import AuditEvent
from app.models.session import Session
from app.models.user import User
from app.services.auth.gate import Gate
from app.services.auth.grants import Grant, Grants
from app.services.auth.origin import Origin
from app.services.auth.refresh import InvalidRefreshTokenException, refresh
from app.services.auth.tokens import InvalidTokenError, Tokens
from tests.accounts import OWNER
from tests.servers import WAITING_FOR_LOCKS

MANY = 50
OLD, NEW = "o" * 40, "n" * 40


class House:
    """One process: its keys, its gate, and the database that it shares with others."""

    def __init__(self, settings: AppSettings, sessions: Sessions, *secrets: str, **auth: float) -> None:
        values = settings.auth.model_copy(update=auth)
        keys = KeyRing(*secrets)
        tokens = Tokens(keys, values)
        self.sessions = sessions
        self.grants = Grants(keys, tokens, values)
        self.gate = Gate(tokens, sessions, values)

    async def login(self) -> Grant:
        async with transaction(self.sessions) as session:
            user = await session.get_one(User, OWNER)
            return await self.grants.open(session, user, origin=Origin(), by_cookie=False)

    async def refresh(self, token: str) -> str:
        grant = await refresh(
            self.sessions, token, grants=self.grants, gate=self.gate, origin=Origin("192.0.2.1", "me")
        )
        return grant.refresh_token.get_secret_value()

    async def row(self, session_id: uuid.UUID) -> Session:
        async with self.sessions() as session:
            return await session.get_one(Session, session_id)


@pytest.fixture
def house(settings: AppSettings, sessions: Sessions) -> House:
    return House(settings, sessions, NEW)


async def test_of_many_at_once_one_exchanges_and_all_get_its_successor(house: House) -> None:
    grant = await house.login()
    token = grant.refresh_token.get_secret_value()
    answers = await asyncio.gather(*(house.refresh(token) for _ in range(MANY)))
    assert len(set(answers)) == 1
    row = await house.row(grant.session_id)
    assert (row.rotations, row.revoked_at) == (1, None)
    assert await house.refresh(answers[0]) != answers[0]


async def test_exchanges_wait_for_the_row(house: House) -> None:
    """Without the lock both would read the same row and both would exchange."""
    grant = await house.login()
    token = grant.refresh_token.get_secret_value()
    async with transaction(house.sessions) as holding:
        await holding.execute(select(Session).where(Session.id == grant.session_id).with_for_update())
        both = [asyncio.create_task(house.refresh(token)) for _ in range(2)]
        await waiting_for_locks(house.sessions, 2)
    assert len(set(await asyncio.gather(*both))) == 1
    assert (await house.row(grant.session_id)).rotations == 1


async def waiting_for_locks(sessions: Sessions, count: int) -> None:
    while True:
        async with sessions() as session:
            if (await session.scalar(WAITING_FOR_LOCKS) or 0) >= count:
                return
        await asyncio.sleep(0.02)


async def test_without_a_grace_the_second_ends_the_session(settings: AppSettings, sessions: Sessions) -> None:
    house = House(settings, sessions, NEW, refresh_grace=0)
    grant = await house.login()
    token = grant.refresh_token.get_secret_value()
    successor = await house.refresh(token)
    for dead in (token, successor):
        with pytest.raises(InvalidRefreshTokenException):
            await house.refresh(dead)
    row = await house.row(grant.session_id)
    assert (row.revoked_reason, row.revoked_at is not None) == ("refresh_reused", True)


async def test_a_reuse_is_written_down_once(settings: AppSettings, sessions: Sessions) -> None:
    house = House(settings, sessions, NEW, refresh_grace=0)
    grant = await house.login()
    token = grant.refresh_token.get_secret_value()
    await house.refresh(token)
    for _ in range(3):
        with pytest.raises(InvalidRefreshTokenException):
            await house.refresh(token)
    async with sessions() as session:
        [event] = await session.scalars(select(AuditEvent))
    assert (event.event, event.user_id, event.address) == ("session.refresh_reused", OWNER, "192.0.2.1")
    assert event.details == {"reused_of": str(grant.session_id), "rotations": 1}


async def test_a_reuse_ends_access_at_once(settings: AppSettings, sessions: Sessions) -> None:
    house = House(settings, sessions, NEW, refresh_grace=0, revocation_seconds=60)
    grant = await house.login()
    token, access = grant.refresh_token.get_secret_value(), grant.access_token.get_secret_value()
    await house.refresh(token)
    assert (await house.gate.by_token(access)).session_id == grant.session_id
    with pytest.raises(InvalidRefreshTokenException):
        await house.refresh(token)
    with pytest.raises(InvalidTokenError):
        await house.gate.by_token(access)


async def test_a_token_of_the_secret_before_is_exchanged(settings: AppSettings, sessions: Sessions) -> None:
    grant = await House(settings, sessions, OLD).login()
    after = House(settings, sessions, NEW, OLD)
    successor = await after.refresh(grant.refresh_token.get_secret_value())
    assert await House(settings, sessions, NEW).refresh(successor)


async def test_a_successor_that_cannot_be_derived_any_more_is_no_theft(
    settings: AppSettings, sessions: Sessions
) -> None:
    """The secret was changed, a token exchanged, and the change taken back: all within the grace."""
    before = House(settings, sessions, OLD)
    grant = await before.login()
    token = grant.refresh_token.get_secret_value()
    await House(settings, sessions, NEW, OLD).refresh(token)
    with pytest.raises(InvalidRefreshTokenException):
        await before.refresh(token)
    assert (await before.row(grant.session_id)).revoked_at is None


async def test_what_is_stored_opens_nothing(house: House) -> None:
    grant = await house.login()
    token = grant.refresh_token.get_secret_value()
    await house.refresh(token)
    async with house.sessions() as session:
        stored = await session.scalar(select(func.to_jsonb(text("sessions"))).select_from(Session).limit(1))
    row = await house.row(grant.session_id)
    assert token not in str(stored)
    for digest in (row.refresh_hash, row.previous_hash):
        with pytest.raises(InvalidRefreshTokenException):
            await house.refresh(str(digest))
