"""What a login does between two looks at the database."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import KeyRing
from app.exceptions.base import TooManyRequestsException
from app.models.audit_event import AuditEvent
from app.models.session import Session
from app.models.user import User
from app.services.auth.grants import Grants
from app.services.auth.login import Desk, InvalidCredentialsException, log_in
from app.services.auth.origin import Origin
from app.services.auth.passwords import Passwords
from app.services.auth.throttle import Door
from app.services.auth.tokens import Tokens
from tests.accounts import EMAILS, OWNER
from tests.passwords import PASSWORD, give_password

HERE = Origin("192.0.2.1", "me")


class Watched(Passwords):
    """Calls back before it verifies, and counts."""

    def __init__(self, settings: AppSettings, before: Any = None) -> None:
        super().__init__(settings.auth)
        self.before = before
        self.calls = 0

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        self.calls += 1
        if self.before:
            await self.before()
        return await super().verify(password, stored)


class Counting:
    """Stands for the throttle: notes what it is told, refuses where it is told to."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.told: list[tuple[str, str | None, str]] = []
        self.refuse = refuse

    async def check(self, address: str | None, email: str, door: Door = Door.LOGIN) -> float:
        self.told.append(("check", address, email))
        if self.refuse:
            raise TooManyRequestsException
        return 0.0

    async def failed(self, address: str | None, email: str, door: Door = Door.LOGIN) -> None:
        self.told.append(("failed", address, email))

    async def succeeded(
        self, address: str | None, email: str, door: Door = Door.LOGIN, *, since: float | None = None
    ) -> None:
        self.told.append(("succeeded", address, email))


def desk(settings: AppSettings, sessions: Sessions, passwords: Passwords, throttle: Counting) -> Desk:
    keys = KeyRing.from_settings(settings.auth)
    grants = Grants(keys, Tokens(keys, settings.auth), settings.auth)
    return Desk(sessions, passwords, throttle, grants)  # type: ignore[arg-type]  # a stand-in


@pytest.fixture(autouse=True)
async def password(sessions: Sessions, settings: AppSettings) -> None:
    await give_password(sessions, settings)


async def opened(sessions: Sessions) -> int:
    async with sessions() as session:
        return await session.scalar(select(func.count()).where(Session.refresh_hash != "0" * 64)) or 0


@pytest.mark.parametrize("email", [EMAILS[OWNER], "nobody@example.com"])
async def test_no_connection_is_held_while_a_password_is_hashed(
    settings: AppSettings, sessions: Sessions, engine: AsyncEngine, email: str
) -> None:
    held = []

    async def look() -> None:
        held.append(engine.pool.checkedout())  # type: ignore[attr-defined]  # of the pool that is used here

    passwords = Watched(settings, look)
    with pytest.raises(InvalidCredentialsException):
        await log_in(desk(settings, sessions, passwords, Counting()), email, "wrong", origin=HERE)
    assert held == [0]


@pytest.mark.parametrize("kind", ["unknown", "wrong", "disabled", "deleted", "no password"])
async def test_every_refusal_costs_one_verification(
    settings: AppSettings, sessions: Sessions, kind: str
) -> None:
    values: dict[str, dict[str, Any]] = {
        "disabled": {"disabled_at": func.now()},
        "deleted": {"deleted_at": func.now()},
        "no password": {"password_hash": None},
    }
    if kind in values:
        async with transaction(sessions) as session:
            await session.execute(update(User).where(User.id == OWNER).values(values[kind]))
    email = "nobody@example.com" if kind == "unknown" else EMAILS[OWNER]
    passwords = Watched(settings)
    with pytest.raises(InvalidCredentialsException):
        await log_in(
            desk(settings, sessions, passwords, Counting()),
            email,
            "wrong" if kind == "wrong" else PASSWORD,
            origin=HERE,
        )
    assert passwords.calls == 1


@pytest.mark.parametrize("column", ["disabled_at", "deleted_at", "password_hash"])
async def test_a_change_while_the_password_is_hashed_ends_the_login(
    settings: AppSettings, sessions: Sessions, column: str
) -> None:
    async def change() -> None:
        value = "another" if column == "password_hash" else func.now()
        async with transaction(sessions) as session:
            await session.execute(update(User).where(User.id == OWNER).values({column: value}))

    passwords = Watched(settings, change)
    with pytest.raises(InvalidCredentialsException):
        await log_in(desk(settings, sessions, passwords, Counting()), EMAILS[OWNER], PASSWORD, origin=HERE)
    assert await opened(sessions) == 0
    async with sessions() as session:
        event = await session.scalar(select(AuditEvent))
    assert event is not None
    assert event.details == {"reason": "changed_meanwhile"}


async def test_who_is_throttled_is_not_hashed_for(settings: AppSettings, sessions: Sessions) -> None:
    passwords = Watched(settings)
    with pytest.raises(TooManyRequestsException):
        await log_in(
            desk(settings, sessions, passwords, Counting(refuse=True)), EMAILS[OWNER], PASSWORD, origin=HERE
        )
    assert passwords.calls == 0


async def test_the_throttle_is_told_how_it_went(settings: AppSettings, sessions: Sessions) -> None:
    throttle = Counting()
    place = desk(settings, sessions, Passwords(settings.auth), throttle)
    await log_in(place, EMAILS[OWNER].upper(), PASSWORD, origin=HERE)
    with pytest.raises(InvalidCredentialsException):
        await log_in(place, EMAILS[OWNER], "wrong", origin=HERE)
    who = ("192.0.2.1", EMAILS[OWNER])
    assert throttle.told == [("check", *who), ("succeeded", *who), ("check", *who), ("failed", *who)]


async def test_a_login_renews_a_hash_that_was_made_with_less(
    settings: AppSettings, sessions: Sessions
) -> None:
    stronger = settings.model_copy(update={"auth": settings.auth.model_copy(update={"password_passes": 2})})
    place = desk(stronger, sessions, Passwords(stronger.auth), Counting())
    assert "t=1," in await stored(sessions)
    await log_in(place, EMAILS[OWNER], PASSWORD, origin=HERE)
    renewed = await stored(sessions)
    assert "t=2," in renewed
    await log_in(place, EMAILS[OWNER], PASSWORD, origin=HERE)
    assert await stored(sessions) == renewed


async def test_a_wrong_password_renews_nothing(settings: AppSettings, sessions: Sessions) -> None:
    stronger = settings.model_copy(update={"auth": settings.auth.model_copy(update={"password_passes": 2})})
    before = await stored(sessions)
    with pytest.raises(InvalidCredentialsException):
        await log_in(
            desk(stronger, sessions, Passwords(stronger.auth), Counting()), EMAILS[OWNER], "x", origin=HERE
        )
    assert await stored(sessions) == before


async def stored(sessions: Sessions) -> str:
    async with sessions() as session:
        return (await session.get_one(User, OWNER)).password_hash or ""


async def test_many_logins_of_one_account_at_once_all_succeed(
    settings: AppSettings, sessions: Sessions
) -> None:
    place = desk(settings, sessions, Passwords(settings.auth), Counting())
    await asyncio.gather(*(log_in(place, EMAILS[OWNER], PASSWORD, origin=HERE) for _ in range(10)))
    assert await opened(sessions) == 10
