"""Requests that outlast their credential are told."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import AppSettings
from app.core.database import Sessions, create_engine, reading, transaction
from app.core.security import digest
from app.models.api_key import ApiKey
from app.models.session import Session
from app.models.user import User, UserRole
from app.services.auth import recheck as module
from app.services.auth.principal import Principal
from app.services.auth.recheck import Recheck, Standing
from app.services.auth.scopes import Scope, key_scopes, session_scopes
from tests.accounts import OTHER, OWNER, session_of
from tests.configuration import make_settings
from tests.workers.waiting import until

Make = Callable[[], Awaitable[None]]


@pytest.fixture
async def recheck(
    settings: AppSettings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Recheck]:
    monkeypatch.setattr(module, "SOONEST", 0.02)
    recheck = Recheck(reading(engine), settings.auth.model_copy(update={"revocation_seconds": 0.0}))
    yield recheck
    await recheck.aclose()


def by_login(user_id: uuid.UUID) -> Principal:
    scopes = session_scopes(UserRole.USER, password_change_required=False)
    return Principal(user_id, UserRole.USER, scopes, session_id=session_of(user_id))


async def by_key(sessions: Sessions) -> Principal:
    scopes = key_scopes(UserRole.USER)
    row = ApiKey(
        user_id=OWNER,
        name="k",
        prefix="hfk_1234",
        key_hash=digest("k"),
        scopes=[str(scope) for scope in scopes],
    )
    async with transaction(sessions) as session:
        session.add(row)
    return Principal(OWNER, UserRole.USER, scopes, api_key_id=row.id)


async def do(sessions: Sessions, statement: object) -> None:
    async with transaction(sessions) as session:
        await session.execute(statement)  # type: ignore[call-overload]  # any statement


async def ended(held: Standing) -> None:
    async def is_over() -> bool:
        return not held.holds()

    await until(is_over, "the end")


CHANGES = {
    "revoked": update(Session).where(Session.user_id == OWNER).values(revoked_at=func.now()),
    "disabled": update(User).where(User.id == OWNER).values(disabled_at=func.now()),
    "another role": update(User).where(User.id == OWNER).values(role="service"),
    "must change": update(User).where(User.id == OWNER).values(password_change_required=True),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_login_that_does_not_stand_any_more_is_told_and_others_go_on(
    recheck: Recheck, sessions: Sessions, change: object
) -> None:
    told = asyncio.Event()
    with recheck.hold(by_login(OWNER), told.set) as mine, recheck.hold(by_login(OTHER), told.clear) as others:
        await do(sessions, change)
        await ended(mine)
        assert told.is_set()
        assert others.holds()


@pytest.mark.parametrize(
    "values",
    [{"revoked_at": func.now()}, {"expires_at": func.now()}, {"scopes": [str(Scope.ACCOUNT_READ)]}],
    ids=str,
)
async def test_so_is_a_key(recheck: Recheck, sessions: Sessions, values: dict[str, object]) -> None:
    principal = await by_key(sessions)
    with recheck.hold(principal, lambda: None) as held:
        await do(sessions, update(ApiKey).values(values))
        await ended(held)


async def test_a_session_that_never_was_is_told(recheck: Recheck) -> None:
    with recheck.hold(replace(by_login(OWNER), session_id=uuid.uuid4()), lambda: None) as held:
        await ended(held)


async def test_what_stands_goes_on_and_is_asked_for_together(
    recheck: Recheck, engine: AsyncEngine, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[Principal]] = []
    stand = recheck._stand

    async def counted(principals: set[Principal]) -> set[Principal]:
        asked.append(principals)
        return await stand(principals)

    monkeypatch.setattr(recheck, "_stand", counted)
    principals = {by_login(OWNER), by_login(OTHER), await by_key(sessions)}

    async def was_asked() -> bool:
        return len(asked) > 2

    held = [recheck.hold(principal, lambda: None) for principal in principals]
    standings = [each.__enter__() for each in held]
    await until(was_asked, "some questions")
    assert all(standing.holds() for standing in standings)
    assert asked[0] == principals
    for each in held:
        each.__exit__(None, None, None)


async def test_nobody_is_put_out_because_the_database_is_away(
    settings: AppSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOONEST", 0.02)
    away = make_settings(settings.state_dir, "postgresql://u:p@127.0.0.1:1/x", "redis://localhost")
    engine = create_engine(away.database)
    recheck = Recheck(reading(engine), settings.auth.model_copy(update={"revocation_seconds": 0.0}))

    async def has_tried() -> bool:
        return "standing_not_read" in [record.message for record in caplog.records]

    with recheck.hold(by_login(OWNER), lambda: None) as held:
        await until(has_tried, "a question")
        assert held.holds()
    await recheck.aclose()
    await engine.dispose()


async def test_it_asks_nothing_while_nobody_is_held_and_again_for_the_next(
    recheck: Recheck, sessions: Sessions
) -> None:
    with recheck.hold(by_login(OTHER), lambda: None):
        pass
    await recheck.aclose()
    with recheck.hold(by_login(OWNER), lambda: None) as held:
        await do(sessions, CHANGES["revoked"])
        await ended(held)
