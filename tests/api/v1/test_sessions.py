"""Where an account is logged in."""

import uuid

import httpx
import pytest
from sqlalchemy import func, select, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.audit_event import AuditEvent
from app.models.session import Session
from tests.accounts import OTHER, OWNER, session_of
from tests.passwords import give_password, log_in, with_token

PATH = "/api/v1/sessions"


@pytest.fixture(autouse=True)
async def password(sessions: Sessions, settings: AppSettings) -> None:
    await give_password(sessions, settings)


async def test_sessions_are_listed_and_the_current_one_marked(anonymous: httpx.AsyncClient) -> None:
    anonymous.headers["user-agent"] = "a tablet"
    token = (await log_in(anonymous))["access_token"]
    await log_in(anonymous, cookie=True)
    answer = await anonymous.get(PATH, headers=with_token(token))
    body = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (body["total"], body["page"], body["page_size"]) == (3, 1, 20)
    assert [item["current"] for item in body["items"]] == [False, True, False]
    assert [item["by_cookie"] for item in body["items"]] == [True, False, False]
    assert body["items"][0]["user_agent"] == "a tablet"
    assert body["items"][0]["address"] == "127.0.0.1"
    assert not {"refresh_hash", "previous_hash"} & set(body["items"][0])


async def test_the_list_has_pages(client: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    await log_in(anonymous)
    body = (await client.get(PATH, params={"page": 2, "page_size": 1})).json()
    assert [item["id"] for item in body["items"]] == [str(session_of(OWNER))]
    assert body["total"] == 2


async def test_others_sessions_are_not_listed(other_client: httpx.AsyncClient) -> None:
    body = (await other_client.get(PATH)).json()
    assert [item["id"] for item in body["items"]] == [str(session_of(OTHER))]


@pytest.mark.parametrize("values", [{"revoked_at": func.now()}, {"expires_at": func.now()}])
async def test_sessions_that_ended_are_not_listed(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, sessions: Sessions, values: dict[str, object]
) -> None:
    await log_in(anonymous)
    async with transaction(sessions) as session:
        await session.execute(update(Session).where(Session.id != session_of(OWNER)).values(values))
    assert (await client.get(PATH)).json()["total"] == 1


async def test_a_session_is_revoked_at_once(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    token = (await log_in(anonymous))["access_token"]
    listed = (await anonymous.get(PATH, headers=with_token(token))).json()
    session_id = next(item["id"] for item in listed["items"] if item["current"])
    assert (await client.delete(f"{PATH}/{session_id}")).status_code == 204
    assert (await anonymous.get(PATH, headers=with_token(token))).status_code == 401
    async with sessions() as session:
        event = await session.scalar(select(AuditEvent).where(AuditEvent.event == "session.revoked"))
    assert event is not None
    assert (event.session_id, event.details) == (session_of(OWNER), {"revoked": session_id})


async def test_anothers_session_is_not_found_and_goes_on(
    client: httpx.AsyncClient, other_client: httpx.AsyncClient
) -> None:
    for session_id in (session_of(OTHER), uuid.uuid4()):
        answer = await client.delete(f"{PATH}/{session_id}")
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Session not found")
    assert (await other_client.get(PATH)).status_code == 200


async def test_a_session_is_revoked_once(client: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    await log_in(anonymous)
    newest = (await client.get(PATH)).json()["items"][0]["id"]
    answers = [await client.delete(f"{PATH}/{newest}") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 404]
