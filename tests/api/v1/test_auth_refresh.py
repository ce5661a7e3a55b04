"""Refreshing by a token in the body, and logging out."""

import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.audit_event import AuditEvent
from app.models.session import Session
from app.models.user import User
from tests.accounts import OTHER, OWNER, session_of
from tests.configuration import SECRET_KEY, make_settings
from tests.passwords import ME, give_password, log_in, with_token
from tests.serving import serve

REFRESH = "/api/v1/auth/refresh"
LOGOUT = "/api/v1/auth/logout"

pytestmark = pytest.mark.usefixtures("password")


@pytest.fixture
async def password(sessions: Sessions, settings: AppSettings) -> None:
    await give_password(sessions, settings)


async def refresh(http: httpx.AsyncClient, token: str) -> httpx.Response:
    return await http.post(REFRESH, json={"refresh_token": token})


async def age_rotations(sessions: Sessions) -> None:
    """As if the last exchange of every session were a while ago."""
    async with transaction(sessions) as session:
        await session.execute(
            update(Session).values(rotated_at=func.now() - func.make_interval(0, 0, 0, 0, 1))
        )


async def last_event(sessions: Sessions) -> str | None:
    async with sessions() as session:
        return await session.scalar(select(AuditEvent.event).order_by(AuditEvent.id.desc()).limit(1))


async def works(http: httpx.AsyncClient, body: dict[str, Any]) -> bool:
    return (await http.get(ME, headers=with_token(body["access_token"]))).status_code == 200


async def test_a_refresh_answers_with_the_next_pair(anonymous: httpx.AsyncClient) -> None:
    first = await log_in(anonymous)
    answer = await refresh(anonymous, first["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert await works(anonymous, second)
    assert (await refresh(anonymous, second["refresh_token"])).status_code == 200


async def test_a_refresh_lengthens_the_session(anonymous: httpx.AsyncClient, sessions: Sessions) -> None:
    first = await log_in(anonymous)
    async with transaction(sessions) as session:
        await session.execute(update(Session).values(expires_at=func.now() + func.make_interval(0, 0, 0, 1)))
    await refresh(anonymous, first["refresh_token"])
    async with sessions() as session:
        left = await session.scalar(select(func.max(Session.expires_at) - func.now()))
    assert left is not None
    assert left.days == 29


async def test_a_lost_answer_can_be_asked_for_again(anonymous: httpx.AsyncClient) -> None:
    first = await log_in(anonymous)
    answers = [await refresh(anonymous, first["refresh_token"]) for _ in range(3)]
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_reuse_after_the_grace_ends_the_session(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    first = await log_in(anonymous)
    second = (await refresh(anonymous, first["refresh_token"])).json()
    assert await works(anonymous, second)
    await age_rotations(sessions)
    answer = await refresh(anonymous, first["refresh_token"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_refresh_token")
    assert await last_event(sessions) == "session.refresh_reused"
    assert (await refresh(anonymous, second["refresh_token"])).status_code == 401
    assert not await works(anonymous, second)


async def test_an_older_token_ends_the_session_within_the_grace_too(anonymous: httpx.AsyncClient) -> None:
    first = await log_in(anonymous)
    second = (await refresh(anonymous, first["refresh_token"])).json()
    third = (await refresh(anonymous, second["refresh_token"])).json()
    assert (await refresh(anonymous, first["refresh_token"])).status_code == 401
    assert (await refresh(anonymous, third["refresh_token"])).status_code == 401


async def test_a_forged_token_ends_nothing(anonymous: httpx.AsyncClient, sessions: Sessions) -> None:
    first = await log_in(anonymous)
    # The session's id is right, as one who has seen it would have it; the rest is made up.
    forged = first["refresh_token"][:30] + "A" * 60
    assert (await refresh(anonymous, forged)).status_code == 401
    assert await last_event(sessions) == "login.succeeded"
    assert (await refresh(anonymous, first["refresh_token"])).status_code == 200


@pytest.mark.parametrize("column", ["disabled_at", "deleted_at"])
async def test_an_account_that_ended_is_not_refreshed(
    anonymous: httpx.AsyncClient, sessions: Sessions, column: str
) -> None:
    first = await log_in(anonymous)
    async with transaction(sessions) as session:
        await session.execute(update(User).where(User.id == OWNER).values({column: func.now()}))
    assert (await refresh(anonymous, first["refresh_token"])).status_code == 401


async def test_an_expired_session_is_not_refreshed(anonymous: httpx.AsyncClient, sessions: Sessions) -> None:
    first = await log_in(anonymous)
    async with transaction(sessions) as session:
        await session.execute(update(Session).values(expires_at=func.now()))
    assert (await refresh(anonymous, first["refresh_token"])).status_code == 401
    assert await last_event(sessions) == "login.succeeded"


async def test_a_refresh_without_a_token_is_refused(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.post(REFRESH)).status_code == 401


async def test_an_access_token_refreshes_nothing(anonymous: httpx.AsyncClient) -> None:
    body = await log_in(anonymous)
    assert (await refresh(anonymous, body["access_token"])).status_code == 401


async def test_a_change_of_the_secret_logs_nobody_out(settings: AppSettings, redis_url: str) -> None:
    url = settings.database.url.get_secret_value()
    async with serve(settings) as http:
        first = await log_in(http)
    rotated = make_settings(
        settings.state_dir, url, redis_url, SECRET_KEY="n" * 40, SECRET_KEY_PREVIOUS=SECRET_KEY
    )
    async with serve(rotated) as http:
        assert await works(http, first)
        second = (await refresh(http, first["refresh_token"])).json()
        assert await works(http, second)
    alone = make_settings(settings.state_dir, url, redis_url, SECRET_KEY="n" * 40)
    async with serve(alone) as http:
        assert not await works(http, first)
        assert (await refresh(http, second["refresh_token"])).status_code == 200


async def test_a_lost_answer_can_be_asked_for_again_after_the_secret_changed(
    settings: AppSettings, redis_url: str
) -> None:
    url = settings.database.url.get_secret_value()
    async with serve(settings) as http:
        first = await log_in(http)
        second = (await refresh(http, first["refresh_token"])).json()
    rotated = make_settings(
        settings.state_dir, url, redis_url, SECRET_KEY="n" * 40, SECRET_KEY_PREVIOUS=SECRET_KEY
    )
    async with serve(rotated) as http:
        again = (await refresh(http, first["refresh_token"])).json()
    assert again["refresh_token"] == second["refresh_token"]


async def test_logging_out_ends_the_session_at_once(anonymous: httpx.AsyncClient, sessions: Sessions) -> None:
    body, other = await log_in(anonymous), await log_in(anonymous)
    assert await works(anonymous, body)
    answer = await anonymous.post(LOGOUT, headers=with_token(body["access_token"]))
    assert answer.status_code == 204
    assert answer.headers["cache-control"] == "no-store"
    assert await last_event(sessions) == "session.ended"
    assert not await works(anonymous, body)
    assert (await refresh(anonymous, body["refresh_token"])).status_code == 401
    assert await works(anonymous, other)


async def test_logging_out_everywhere_ends_all_sessions_of_the_account(
    anonymous: httpx.AsyncClient, other_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    bodies = [await log_in(anonymous) for _ in range(2)]
    answer = await anonymous.post("/api/v1/auth/logout-all", headers=with_token(bodies[0]["access_token"]))
    assert answer.status_code == 204
    assert [await works(anonymous, body) for body in bodies] == [False, False]
    assert [(await refresh(anonymous, body["refresh_token"])).status_code for body in bodies] == [401, 401]
    assert (await other_client.get(ME)).status_code == 200
    async with sessions() as session:
        event = await session.scalar(select(AuditEvent).where(AuditEvent.event == "session.all_revoked"))
    assert event is not None
    assert event.details == {"sessions": 3}


async def test_an_api_key_can_log_nobody_out(anonymous: httpx.AsyncClient) -> None:
    for header in ({"Authorization": "Bearer hfk_" + "x" * 43}, {"X-API-Key": "hfk_" + "x" * 43}):
        assert (await anonymous.post(LOGOUT, headers=header)).status_code == 401


async def test_the_sessions_of_others_are_not_touched_by_a_reuse(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    first = await log_in(anonymous)
    await refresh(anonymous, first["refresh_token"])
    await age_rotations(sessions)
    await refresh(anonymous, first["refresh_token"])
    async with sessions() as session:
        revoked = set(await session.scalars(select(Session.id).where(Session.revoked_at.is_not(None))))
    ours: set[uuid.UUID] = {session_of(OWNER), session_of(OTHER)}
    assert len(revoked) == 1
    assert not revoked & ours
