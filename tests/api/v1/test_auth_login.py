"""Logging in: what is answered to whom, and what is written down."""

import httpx
import pytest
from sqlalchemy import func, select, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.audit_event import AuditEvent
from app.models.session import Session
from app.models.user import User
from tests.accounts import ADMIN, EMAILS, OWNER
from tests.configuration import make_settings
from tests.passwords import LOGIN, ME, PASSWORD, give_password, log_in, with_token
from tests.serving import serve

TOKEN = "/api/v1/auth/token"

pytestmark = pytest.mark.usefixtures("password")


@pytest.fixture
async def password(sessions: Sessions, settings: AppSettings) -> None:
    await give_password(sessions, settings)


async def events(sessions: Sessions) -> list[AuditEvent]:
    async with sessions() as session:
        return list(await session.scalars(select(AuditEvent).order_by(AuditEvent.id)))


async def attempt(http: httpx.AsyncClient, email: str, password: str) -> httpx.Response:
    return await http.post(LOGIN, json={"email": email, "password": password})


async def test_a_login_answers_with_a_pair_that_works(anonymous: httpx.AsyncClient) -> None:
    body = await log_in(anonymous)
    assert (body["token_type"], body["expires_in"]) == ("bearer", 900)
    assert "account:write" in body["scope"].split()
    assert (await anonymous.get(ME, headers=with_token(body["access_token"]))).status_code == 200


async def test_the_form_of_oauth_answers_the_same(anonymous: httpx.AsyncClient) -> None:
    form = {
        "grant_type": "password",
        "username": EMAILS[OWNER],
        "password": PASSWORD,
        "scope": "users:admin",
        "client_id": "a tool",
    }
    answer = await anonymous.post(TOKEN, data=form)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert "users:admin" not in body["scope"].split()
    assert (await anonymous.get(ME, headers=with_token(body["access_token"]))).status_code == 200


async def test_another_grant_is_refused(anonymous: httpx.AsyncClient) -> None:
    form = {"grant_type": "client_credentials", "username": EMAILS[OWNER], "password": PASSWORD}
    assert (await anonymous.post(TOKEN, data=form)).status_code == 422


async def test_what_holds_tokens_may_not_be_kept(anonymous: httpx.AsyncClient) -> None:
    answer = await attempt(anonymous, EMAILS[OWNER], PASSWORD)
    assert answer.headers["cache-control"] == "no-store"


async def test_an_address_is_taken_in_any_case(anonymous: httpx.AsyncClient) -> None:
    assert (await attempt(anonymous, "Owner@Example.COM", PASSWORD)).status_code == 200


async def test_an_address_of_this_machine_is_taken(anonymous: httpx.AsyncClient, sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        await session.execute(update(User).where(User.id == OWNER).values(email="root@localhost"))
    assert (await attempt(anonymous, "Root@Localhost", PASSWORD)).status_code == 200


@pytest.mark.parametrize("column", ["disabled_at", "deleted_at", "password_hash", None, "unknown"])
async def test_nobody_can_tell_why_a_login_failed(
    anonymous: httpx.AsyncClient, sessions: Sessions, column: str | None
) -> None:
    email, given = EMAILS[OWNER], PASSWORD
    if column is None:
        given = "a wrong password"
    elif column == "unknown":
        email = "nobody@example.com"
    else:
        value = None if column == "password_hash" else func.now()
        async with transaction(sessions) as session:
            await session.execute(update(User).where(User.id == OWNER).values({column: value}))
    answer = await attempt(anonymous, email, given)
    assert answer.status_code == 401
    assert answer.json()["error"] == {
        "code": "invalid_credentials",
        "message": "The e-mail address or the password is wrong.",
        "details": None,
    }
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (await logins(sessions)) == 0


async def logins(sessions: Sessions) -> int:
    async with sessions() as session:
        wanted = select(func.count()).where(Session.refresh_hash != "0" * 64)
        return await session.scalar(wanted) or 0


async def test_a_login_is_written_down(anonymous: httpx.AsyncClient, sessions: Sessions) -> None:
    await log_in(anonymous)
    [event] = await events(sessions)
    assert (event.event, event.user_id, event.address) == ("login.succeeded", OWNER, "127.0.0.1")
    async with sessions() as session:
        assert await session.get(Session, event.session_id) is not None


async def test_failed_logins_are_written_down_without_what_was_typed(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    await attempt(anonymous, EMAILS[OWNER], "typed-password")
    await attempt(anonymous, "typed-address@example.com", "typed-password")
    known, unknown = await events(sessions)
    assert (known.event, known.user_id, known.details) == (
        "login.failed",
        OWNER,
        {"reason": "wrong_password"},
    )
    assert (unknown.user_id, unknown.details) == (None, {"reason": "unknown_address"})


async def test_one_time_passwords_give_little(
    anonymous: httpx.AsyncClient, sessions: Sessions, settings: AppSettings
) -> None:
    await give_password(sessions, settings, ADMIN, password_change_required=True)
    assert (await log_in(anonymous, ADMIN))["scope"] == "account:read account:write"


@pytest.mark.parametrize(
    "given",
    [
        {"email": "a\x00b@example.com", "password": "x"},
        {"email": "x" * 321, "password": "x"},
        {"email": EMAILS[OWNER], "password": "x" * 257},
        {"email": EMAILS[OWNER], "password": ""},
        {"email": EMAILS[OWNER], "password": "x", "admin": True},
        {"email": EMAILS[OWNER], "password": 7},
    ],
    ids=["NUL", "long address", "long password", "no password", "unknown field", "number"],
)
async def test_what_is_no_login_is_refused_without_repeating_it(
    anonymous: httpx.AsyncClient, given: dict[str, object]
) -> None:
    answer = await anonymous.post(LOGIN, json=given)
    assert answer.status_code == 422
    assert "xxx" not in answer.text


async def test_a_lone_surrogate_is_no_address_and_no_password(anonymous: httpx.AsyncClient) -> None:
    for body in (
        rb'{"email": "\ud800@x.org", "password": "x"}',
        rb'{"email": "a@x.org", "password": "\ud800"}',
    ):
        answer = await anonymous.post(LOGIN, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422


@pytest.mark.usefixtures("redis", "one_window")
async def test_too_many_bad_logins_are_slowed_down(
    settings: AppSettings, sessions: Sessions, fresh_database: str, redis_url: str
) -> None:
    strict = make_settings(settings.state_dir, fresh_database, redis_url, RATE_LIMIT_LOGIN="2/day")
    async with serve(strict, client="198.51.100.7") as http:
        answers = [await attempt(http, EMAILS[ADMIN], "wrong password") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await attempt(http, EMAILS[OWNER], PASSWORD)).status_code == 429
