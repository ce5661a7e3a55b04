"""Registration, and passwords that are set anew by mail."""

import asyncio

import httpx
import pytest
from sqlalchemy import select

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import KeyRing
from app.models.session import Session
from app.models.user import User
from app.services.auth.tokens import RESET, VERIFY, Tokens
from tests.accounts import EMAILS, OTHER, OWNER, SERVICE, bearer
from tests.configuration import make_settings
from tests.postbox import Postbox
from tests.registering import ANNA, CHOSEN, events, known, log_in, post, user
from tests.serving import serve


@pytest.fixture
def postbox(settings: AppSettings, sessions: Sessions) -> Postbox:
    return Postbox(settings, sessions)


async def test_a_new_account_is_an_unverified_user_without_a_password(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    await post(anonymous, "/register", **ANNA)
    added = await known(sessions)
    assert (added.role, added.name, added.email_verified_at) == ("user", "Anna", None)
    assert added.password_hash is None
    assert await events(sessions) == ["account.registered"]


@pytest.mark.parametrize("path", ["/register", "/verify-email/resend", "/password/forgot"])
async def test_known_and_unknown_addresses_are_answered_alike(
    anonymous: httpx.AsyncClient, path: str
) -> None:
    answers = [await post(anonymous, path, email=email) for email in (EMAILS[OWNER], "new@example.org")]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    names = [[name for name, _ in answer.headers.multi_items()] for answer in answers]
    assert names[0] == names[1]
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)


@pytest.mark.parametrize("path", ["/register", "/verify-email/resend", "/password/forgot"])
async def test_known_and_unknown_addresses_leave_the_same_job(
    anonymous: httpx.AsyncClient, postbox: Postbox, path: str
) -> None:
    for email in (EMAILS[OWNER], "new@example.org"):
        await post(anonymous, path, email=email)
    one, other = await postbox.jobs()
    assert (one.kind, one.queue, one.args | {"email": ""}) == (
        other.kind,
        other.queue,
        other.args | {"email": ""},
    )


async def test_mail_jobs_are_nobodys_to_see(
    client: httpx.AsyncClient, admin_client: httpx.AsyncClient
) -> None:
    await post(client, "/password/forgot", email=EMAILS[OWNER])
    for http in (client, admin_client):
        assert (await http.get("/api/v1/jobs")).json()["total"] == 0


async def test_to_register_a_verified_address_again_changes_nothing_and_tells_its_owner(
    anonymous: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    before = await known(sessions, EMAILS[OWNER])
    await post(anonymous, "/register", **(ANNA | {"email": EMAILS[OWNER]}))
    after = await known(sessions, EMAILS[OWNER])
    assert (after.password_hash, after.name, after.updated_at) == (None, before.name, before.updated_at)
    [letter] = await postbox.empty()
    assert (letter.recipient, letter.link) == (EMAILS[OWNER], None)
    assert "You have an account already" in letter.subject
    assert await events(sessions) == ["account.registered_again"]


async def test_to_register_an_unverified_address_again_takes_nothing_over(
    anonymous: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    await post(anonymous, "/register", **ANNA)
    first = await known(sessions)
    await postbox.empty()
    await post(anonymous, "/register", email=ANNA["email"], name="Eve")
    again = await known(sessions)
    assert (again.id, again.password_hash, again.name) == (first.id, None, "Anna")
    [letter] = await postbox.empty()
    assert (letter.recipient, letter.link is not None) == (ANNA["email"], True)


async def test_registering_at_the_same_moment_makes_one_account(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    answers = await asyncio.gather(*(post(anonymous, "/register", **ANNA) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(await events(sessions)) == ["account.registered"] + ["account.registered_again"] * 4


async def test_an_address_is_one_in_whatever_case(anonymous: httpx.AsyncClient, sessions: Sessions) -> None:
    await post(anonymous, "/register", **(ANNA | {"email": "ANNA@Example.ORG"}))
    await post(anonymous, "/register", **ANNA)
    assert await events(sessions) == ["account.registered", "account.registered_again"]


@pytest.mark.parametrize(
    "changes",
    [
        {"password": CHOSEN},
        {"email": "änna@example.org"},
        {"email": "no address"},
        {"email": "a@localhost"},
        {"email": "a\x00@example.org"},
        {"email": "a@" + "b" * 400 + ".org"},
        {"email": "a@example.org\r\nBcc: b@example.org"},
        {"name": "nul\x00"},
        {"name": "x" * 201},
        {"role": "admin"},
    ],
)
async def test_what_cannot_be_registered_is_refused(
    anonymous: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    answer = await post(anonymous, "/register", **(ANNA | changes))
    assert answer.status_code == 422
    assert CHOSEN not in answer.text


async def test_registration_can_be_closed(settings: AppSettings) -> None:
    closed = settings.model_copy(update={"auth": settings.auth.model_copy(update={"registration": False})})
    async with serve(closed) as http:
        answer = await post(http, "/register", **ANNA)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "registration_disabled")
    assert "administrator" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/register", "/verify-email/resend", "/password/forgot"])
async def test_where_no_mail_can_be_sent_nothing_that_needs_one_begins(
    settings: AppSettings, sessions: Sessions, path: str
) -> None:
    strict = make_settings(
        settings.state_dir,
        settings.database.url.get_secret_value(),
        settings.redis.url.get_secret_value(),
        APP_ENV="production",
    )
    async with serve(strict) as http:
        answers = [await post(http, path, email=email) for email in (EMAILS[OWNER], ANNA["email"])]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert [answer.json()["error"]["code"] for answer in answers] == ["mail_not_configured"] * 2
    assert await user(sessions) is None


async def test_a_new_password_takes_the_place_of_a_forgotten_one(
    anonymous: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    await post(anonymous, "/register", **ANNA)
    await post(anonymous, "/verify-email", token=await postbox.token(), password=CHOSEN)
    await post(anonymous, "/password/forgot", email=ANNA["email"])
    answer = await post(
        anonymous, "/password/reset", token=await postbox.token(), password="another password"
    )
    assert (answer.status_code, answer.headers["cache-control"]) == (204, "no-store")
    assert await log_in(anonymous) == 401
    assert await log_in(anonymous, password="another password") == 200
    assert "password.reset" in await events(sessions)


async def test_a_reset_ends_every_session_and_tells_the_owner(
    client: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    assert (await client.get("/api/v1/users/me")).status_code == 200
    await post(client, "/password/forgot", email=EMAILS[OWNER])
    await post(client, "/password/reset", token=await postbox.token(), password="another password")
    assert (await client.get("/api/v1/users/me")).status_code == 401
    async with sessions() as session:
        [ended] = await session.scalars(select(Session).where(Session.user_id == OWNER))
    assert (ended.revoked_reason, ended.revoked_at is not None) == ("password_reset", True)
    [letter] = await postbox.empty()
    assert "Your password was changed" in letter.subject


async def test_a_reset_link_holds_once(anonymous: httpx.AsyncClient, postbox: Postbox) -> None:
    await post(anonymous, "/password/forgot", email=EMAILS[OWNER])
    token = await postbox.token()
    answers = [
        await post(anonymous, "/password/reset", token=token, password=f"another password {number}")
        for number in range(2)
    ]
    assert [answer.status_code for answer in answers] == [204, 400]


async def test_one_of_two_resets_at_the_same_moment_counts(
    anonymous: httpx.AsyncClient, postbox: Postbox
) -> None:
    await post(anonymous, "/password/forgot", email=EMAILS[OWNER])
    token = await postbox.token()
    resets = (
        post(anonymous, "/password/reset", token=token, password=f"another password {n}") for n in range(4)
    )
    assert sorted(answer.status_code for answer in await asyncio.gather(*resets)) == [204, 400, 400, 400]


async def test_a_one_time_password_is_replaced_by_a_reset(
    anonymous: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    async with transaction(sessions) as session:
        (await session.get_one(User, OWNER)).password_change_required = True
    await post(anonymous, "/password/forgot", email=EMAILS[OWNER])
    await post(anonymous, "/password/reset", token=await postbox.token(), password="another password")
    assert not (await known(sessions, EMAILS[OWNER])).password_change_required


@pytest.mark.parametrize("state", ["disabled_at", "deleted_at"])
async def test_an_account_that_has_ended_gets_no_mail_and_no_password(
    anonymous: httpx.AsyncClient, sessions: Sessions, postbox: Postbox, state: str
) -> None:
    await post(anonymous, "/password/forgot", email=EMAILS[OWNER])
    token = await postbox.token()
    async with transaction(sessions) as session:
        row = await session.get_one(User, OWNER)
        setattr(row, state, row.created_at)
    assert (
        await post(anonymous, "/password/reset", token=token, password="another password")
    ).status_code == 400
    for path in ("/password/forgot", "/verify-email/resend"):
        await post(anonymous, path, email=EMAILS[OWNER])
    assert await postbox.empty() == []


async def test_a_program_gets_no_reset(anonymous: httpx.AsyncClient, postbox: Postbox) -> None:
    await post(anonymous, "/password/forgot", email=EMAILS[SERVICE])
    assert await postbox.empty() == []


@pytest.mark.parametrize("token", ["x", "a.b.c", "\x00", "é" * 10, "verify", "of another", "access"])
@pytest.mark.parametrize("path", ["/verify-email", "/password/reset"])
async def test_what_is_no_token_of_this_mail_is_refused(
    anonymous: httpx.AsyncClient, settings: AppSettings, sessions: Sessions, path: str, token: str
) -> None:
    tokens = Tokens(KeyRing.from_settings(settings.auth), settings.auth)
    swapped = RESET if path == "/verify-email" else VERIFY
    own = VERIFY if path == "/verify-email" else RESET
    given = {
        "verify": tokens.mail(swapped, OWNER, "0" * 64),
        "of another": tokens.mail(own, OTHER, "0" * 64),
        "access": bearer(settings)["Authorization"].removeprefix("Bearer "),
    }.get(token, token)
    rest = {"password": "another password"} if path == "/password/reset" else {}
    answer = await post(anonymous, path, token=given, **rest)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_link")
    assert (await known(sessions, EMAILS[OTHER])).password_hash is None


async def test_an_expired_link_is_refused(
    anonymous: httpx.AsyncClient, settings: AppSettings, sessions: Sessions
) -> None:
    old = settings.auth.model_copy(update={"mail_token_seconds": -10})
    await post(anonymous, "/password/forgot", email=EMAILS[OWNER])
    token = await Postbox(settings.model_copy(update={"auth": old}), sessions).token()
    assert (
        await post(anonymous, "/password/reset", token=token, password="another password")
    ).status_code == 400
