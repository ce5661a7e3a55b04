"""The link of a registration: it proves the address and sets the password, in one step."""

import asyncio

import httpx
import pytest

from app.core.config import AppSettings
from app.core.database import Sessions
from tests.accounts import EMAILS, OWNER
from tests.passwords import PASSWORD, give_password
from tests.postbox import Postbox
from tests.registering import ANNA, CHOSEN, events, known, log_in, post

GUESS = "the password of a thief"


@pytest.fixture
def postbox(settings: AppSettings, sessions: Sessions) -> Postbox:
    return Postbox(settings, sessions)


@pytest.fixture
async def token(anonymous: httpx.AsyncClient, postbox: Postbox) -> str:
    """Anna's, who has registered."""
    assert (await post(anonymous, "/register", **ANNA)).status_code == 202
    return await postbox.token()


async def test_an_account_can_be_used_once_its_address_is_verified(
    anonymous: httpx.AsyncClient, token: str
) -> None:
    assert await log_in(anonymous) == 401
    answer = await post(anonymous, "/verify-email", token=token, password=CHOSEN)
    assert (answer.status_code, answer.headers["cache-control"]) == (204, "no-store")
    assert await log_in(anonymous) == 200


async def test_registering_and_logging_in_does_not_tell_that_an_address_has_an_account(
    anonymous: httpx.AsyncClient, settings: AppSettings, sessions: Sessions
) -> None:
    await give_password(sessions, settings)
    told = []
    for email in (EMAILS[OWNER], ANNA["email"], ANNA["email"]):
        registered = await post(anonymous, "/register", email=email)
        logged_in = await post(anonymous, "/login", email=email, password=GUESS)
        error = logged_in.json()["error"]
        told.append((registered.status_code, registered.content, logged_in.status_code, str(error)))
    assert len(set(told)) == 1
    assert told[0][2] == 401


async def test_who_registered_first_has_nothing_once_the_owner_has_verified(
    anonymous: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    for password in ({"password": GUESS}, {}):
        await post(anonymous, "/register", **(ANNA | {"name": "Eve"} | password))
    assert await log_in(anonymous, GUESS) == 401
    await postbox.empty()
    await post(anonymous, "/register", **ANNA)
    await post(anonymous, "/verify-email", token=await postbox.token(), password=CHOSEN)
    assert (await log_in(anonymous, GUESS), await log_in(anonymous)) == (401, 200)
    await post(anonymous, "/register", email=ANNA["email"])
    assert (await log_in(anonymous, GUESS), await log_in(anonymous)) == (401, 200)


async def test_a_link_holds_once_and_its_second_password_is_not_set(
    anonymous: httpx.AsyncClient, sessions: Sessions, token: str
) -> None:
    answers = [
        await post(anonymous, "/verify-email", token=token, password=password) for password in (CHOSEN, GUESS)
    ]
    assert [answer.status_code for answer in answers] == [204, 400]
    assert answers[1].json()["error"]["code"] == "invalid_link"
    assert (await log_in(anonymous, GUESS), await log_in(anonymous)) == (401, 200)
    assert (await events(sessions)).count("account.email_verified") == 1


async def test_one_of_two_passwords_set_at_the_same_moment_counts(
    anonymous: httpx.AsyncClient, token: str
) -> None:
    tried = (post(anonymous, "/verify-email", token=token, password=f"{CHOSEN} {n}") for n in range(4))
    assert sorted(answer.status_code for answer in await asyncio.gather(*tried)) == [204, 400, 400, 400]


@pytest.mark.parametrize(
    ("given", "code"),
    [({}, "password_needed"), ({"password": ANNA["email"].title()}, "address_as_password")],
)
async def test_a_link_is_not_used_up_without_a_password_that_can_be_set(
    anonymous: httpx.AsyncClient, sessions: Sessions, token: str, given: dict[str, str], code: str
) -> None:
    answer = await post(anonymous, "/verify-email", token=token, **given)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert (await known(sessions)).email_verified_at is None
    assert (await post(anonymous, "/verify-email", token=token, password=CHOSEN)).status_code == 204


@pytest.mark.parametrize("password", ["short", "x" * 257, "password123", "1212121212"])
async def test_a_bad_password_is_refused_and_not_repeated(
    anonymous: httpx.AsyncClient, token: str, password: str
) -> None:
    answer = await post(anonymous, "/verify-email", token=token, password=password)
    assert answer.status_code == 422
    assert password not in answer.text
    assert token not in answer.text


async def test_the_letter_says_that_the_link_sets_the_password(
    anonymous: httpx.AsyncClient, postbox: Postbox
) -> None:
    await post(anonymous, "/register", **ANNA)
    [letter] = await postbox.empty()
    assert "Choose a password" in letter.subject
    assert "POST /api/v1/auth/verify-email\n" in letter.text
    assert '{"token": "...", "password": "..."}' in letter.text


@pytest.mark.parametrize("path", ["/verify-email/resend", "/password/forgot"])
async def test_the_same_mail_is_sent_again_on_demand_until_it_was_followed(
    anonymous: httpx.AsyncClient, postbox: Postbox, token: str, path: str
) -> None:
    await post(anonymous, path, email=ANNA["email"])
    again = await postbox.token()
    assert (await post(anonymous, "/verify-email", token=again, password=CHOSEN)).status_code == 204
    await post(anonymous, "/verify-email/resend", email=ANNA["email"])
    assert await postbox.empty() == []


async def test_the_link_of_another_address_sets_no_password_and_is_not_used_up(
    client: httpx.AsyncClient, settings: AppSettings, sessions: Sessions, postbox: Postbox
) -> None:
    await give_password(sessions, settings)
    before = await known(sessions, EMAILS[OWNER])
    await client.patch("/api/v1/users/me", json={"email": "new@example.org", "password": PASSWORD})
    [letter] = await postbox.empty()
    assert '{"token": "..."}' in letter.text
    answer = await post(client, "/verify-email", token=letter.link, password=CHOSEN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "password_not_needed")
    assert (await known(sessions, EMAILS[OWNER])).password_hash == before.password_hash
    assert (await post(client, "/verify-email", token=letter.link)).status_code == 204
    assert (await known(sessions, "new@example.org")).password_hash == before.password_hash
