"""Changing one's own password."""

import httpx
import pytest
from sqlalchemy import select

from app.core.config import AppSettings
from app.core.database import Sessions
from app.models.audit_event import AuditEvent
from app.models.user import User
from tests.accounts import EMAILS, OTHER, OWNER
from tests.configuration import make_settings
from tests.passwords import LOGIN, ME, PASSWORD, give_password, log_in, with_token
from tests.serving import serve

PATH = "/api/v1/auth/password"
NEW = "a horse of another colour"


@pytest.fixture(autouse=True)
async def password(sessions: Sessions, settings: AppSettings) -> None:
    await give_password(sessions, settings)


async def change(
    http: httpx.AsyncClient, token: str, current: str = PASSWORD, new: str = NEW
) -> httpx.Response:
    given = {"current_password": current, "new_password": new}
    return await http.post(PATH, json=given, headers=with_token(token))


async def status_of_login(http: httpx.AsyncClient, password: str) -> int:
    return (await http.post(LOGIN, json={"email": EMAILS[OWNER], "password": password})).status_code


async def test_the_new_password_is_the_one_that_counts(anonymous: httpx.AsyncClient) -> None:
    token = (await log_in(anonymous))["access_token"]
    answer = await change(anonymous, token)
    assert (answer.status_code, answer.headers["cache-control"]) == (204, "no-store")
    assert await status_of_login(anonymous, PASSWORD) == 401
    assert await status_of_login(anonymous, NEW) == 200


async def test_the_other_sessions_end(anonymous: httpx.AsyncClient) -> None:
    other, mine = await log_in(anonymous), await log_in(anonymous)
    assert (await anonymous.get(ME, headers=with_token(other["access_token"]))).status_code == 200
    await change(anonymous, mine["access_token"])
    assert (await anonymous.get(ME, headers=with_token(other["access_token"]))).status_code == 401
    assert (await anonymous.get(ME, headers=with_token(mine["access_token"]))).status_code == 200
    refreshed = await anonymous.post("/api/v1/auth/refresh", json={"refresh_token": other["refresh_token"]})
    assert refreshed.status_code == 401


async def test_the_current_password_is_asked_for(anonymous: httpx.AsyncClient) -> None:
    token = (await log_in(anonymous))["access_token"]
    answer = await change(anonymous, token, current="not the password")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_password")
    assert await status_of_login(anonymous, PASSWORD) == 200


async def test_an_account_without_a_password_has_none_to_change(
    other_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    given = {"current_password": "anything", "new_password": NEW}
    assert (await other_client.post(PATH, json=given)).status_code == 403
    async with sessions() as session:
        assert (await session.get_one(User, OTHER)).password_hash is None


@pytest.mark.parametrize(
    ("new", "status"),
    [(PASSWORD, 400), ("short", 422), ("password123", 422), ("x" * 257, 422), ("", 422)],
    ids=["the same", "short", "common", "long", "empty"],
)
async def test_not_every_password_is_taken(anonymous: httpx.AsyncClient, new: str, status: int) -> None:
    token = (await log_in(anonymous))["access_token"]
    assert (await change(anonymous, token, new=new)).status_code == status
    assert await status_of_login(anonymous, PASSWORD) == 200


async def test_a_one_time_password_is_over_with_the_change(
    anonymous: httpx.AsyncClient, sessions: Sessions, settings: AppSettings
) -> None:
    await give_password(sessions, settings, password_change_required=True)
    token = (await log_in(anonymous))["access_token"]
    refused = await anonymous.get("/api/v1/jobs", headers=with_token(token))
    assert refused.status_code == 403
    assert "one-time password" in refused.json()["error"]["message"]
    assert (await change(anonymous, token)).status_code == 204
    assert (await anonymous.get("/api/v1/jobs", headers=with_token(token))).status_code == 200


async def test_a_change_is_written_down_without_the_passwords(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    token = (await log_in(anonymous))["access_token"]
    await change(anonymous, token)
    async with sessions() as session:
        event = await session.scalar(select(AuditEvent).where(AuditEvent.event == "password.changed"))
    assert event is not None
    assert (event.user_id, event.details) == (OWNER, {"sessions_ended": 1, "keys_revoked": 0})


@pytest.mark.usefixtures("redis", "one_window")
async def test_a_stolen_session_cannot_guess_the_password(
    settings: AppSettings, fresh_database: str, redis_url: str
) -> None:
    strict = make_settings(settings.state_dir, fresh_database, redis_url, RATE_LIMIT_LOGIN="2/day")
    async with serve(strict, client="198.51.100.8") as http:
        token = (await log_in(http))["access_token"]
        answers = [await change(http, token, current=f"guess number {number}") for number in range(3)]
        assert [answer.status_code for answer in answers] == [403, 403, 429]
