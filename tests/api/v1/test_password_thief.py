"""What a thief left in an account ends with the password that he knew."""

import hashlib

import httpx
import pytest
from sqlalchemy import select

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.api_key import ApiKey
from app.models.audit_event import AuditEvent
from app.models.user import User
from app.services.accounts.links import change_stamp
from app.services.auth.throttle import ACCOUNT_TIMES
from tests.accounts import EMAILS, OTHER, OWNER
from tests.configuration import make_settings
from tests.passwords import PASSWORD, give_password, log_in, with_token
from tests.postbox import Postbox
from tests.serving import serve

AUTH = "/api/v1/auth"
NEW = "a horse of another colour"
TAKEN = "thief@example.org"

WAYS = pytest.mark.parametrize("way", ["reset", "change"])


@pytest.fixture(autouse=True)
async def thief(sessions: Sessions, settings: AppSettings) -> None:
    """A key and an address that waits to be confirmed; OTHER has a key too."""
    await give_password(sessions, settings, pending_email=TAKEN)
    async with transaction(sessions) as session:
        for user_id in (OWNER, OTHER):
            hashed = hashlib.sha256(user_id.bytes).hexdigest()
            session.add(ApiKey(user_id=user_id, name="n", prefix="p", key_hash=hashed, scopes=[]))


async def set_password(http: httpx.AsyncClient, settings: AppSettings, sessions: Sessions, way: str) -> None:
    if way == "change":
        token = (await log_in(http))["access_token"]
        given = {"current_password": PASSWORD, "new_password": NEW}
        answer = await http.post(f"{AUTH}/password", json=given, headers=with_token(token))
    else:
        await http.post(f"{AUTH}/password/forgot", json={"email": EMAILS[OWNER]})
        given = {"token": await Postbox(settings, sessions).token(), "password": NEW}
        answer = await http.post(f"{AUTH}/password/reset", json=given)
    assert answer.status_code == 204


@WAYS
async def test_the_address_that_a_thief_asked_for_is_dropped(
    anonymous: httpx.AsyncClient, settings: AppSettings, sessions: Sessions, way: str
) -> None:
    await set_password(anonymous, settings, sessions, way)
    async with sessions() as session:
        assert (await session.get_one(User, OWNER)).pending_email is None


@WAYS
async def test_the_keys_of_the_account_end_and_are_counted(
    anonymous: httpx.AsyncClient, settings: AppSettings, sessions: Sessions, way: str
) -> None:
    await set_password(anonymous, settings, sessions, way)
    async with sessions() as session:
        held = await session.scalars(select(ApiKey.user_id).where(ApiKey.revoked_at.is_(None)))
        told = select(AuditEvent.details).where(AuditEvent.event.in_(("password.reset", "password.changed")))
        [details] = await session.scalars(told)
        assert (list(held), details["keys_revoked"]) == ([OTHER], 1)


async def test_a_link_to_another_address_does_not_hold_after_a_new_password(sessions: Sessions) -> None:
    async with sessions() as session:
        user = await session.get_one(User, OWNER)
        before = change_stamp(user)
        user.password_hash = "another"
        assert change_stamp(user) != before


async def test_the_mail_says_that_the_keys_ended(
    anonymous: httpx.AsyncClient, settings: AppSettings, sessions: Sessions
) -> None:
    await set_password(anonymous, settings, sessions, "reset")
    [letter] = await Postbox(settings, sessions).empty()
    assert "API keys do not hold" in letter.text


@pytest.mark.usefixtures("redis", "one_window")
async def test_the_owner_of_an_attacked_account_sets_a_password_at_a_new_place_and_logs_in(
    settings: AppSettings, sessions: Sessions
) -> None:
    low = make_settings(
        settings.state_dir,
        settings.database.url.get_secret_value(),
        settings.redis.url.get_secret_value(),
        RATE_LIMIT_LOGIN="1/day",
        RATE_LIMIT_PATIENCE="10",
    )
    bad = {"email": EMAILS[OWNER], "password": "a wrong password"}
    for number in range(ACCOUNT_TIMES):
        async with serve(low, client=f"198.51.100.{number}") as attacker:
            assert (await attacker.post(f"{AUTH}/login", json=bad)).status_code == 401
    good = {"email": EMAILS[OWNER], "password": NEW}
    async with serve(low, client="203.0.113.1") as owner, serve(low, client="203.0.113.2") as attacker:
        await set_password(owner, low, sessions, "reset")
        assert (await owner.post(f"{AUTH}/login", json=good)).status_code == 200
        assert (await attacker.post(f"{AUTH}/login", json=good)).status_code == 429
