"""Guesses at passwords, through the API."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.core.config import AppSettings
from app.core.database import Sessions
from app.services.auth.throttle import ACCOUNT_TIMES
from tests.accounts import EMAILS, OWNER
from tests.configuration import make_settings
from tests.passwords import LOGIN, give_password, log_in
from tests.serving import NOBODY, serve

LIMIT = 4
HOME = "192.0.2.77"

pytestmark = pytest.mark.usefixtures("redis", "one_window", "password")

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
async def password(sessions: Sessions, settings: AppSettings) -> None:
    await give_password(sessions, settings)


@pytest.fixture
def served(settings: AppSettings, tmp_path: Path) -> Serve:
    """A client, from an address, of an application with a low limit of bad logins."""

    @asynccontextmanager
    async def served(client: str = HOME, **values: str) -> AsyncIterator[httpx.AsyncClient]:
        low = {"RATE_LIMIT_LOGIN": f"{LIMIT}/day", "API_PROCESSES": "2"}
        database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
        chosen = make_settings(tmp_path, database, values.pop("REDIS_URL", redis), **low | values)
        async with serve(chosen, client=client) as http:
            yield http

    return served


async def guess(http: httpx.AsyncClient, times: int, email: str | None = None) -> Counter[int]:
    """The statuses of so many bad logins, each at an account of its own unless one is given."""
    statuses: Counter[int] = Counter()
    for number in range(times):
        given = {"email": email or f"{number}@example.com", "password": "a wrong password"}
        statuses[(await http.post(LOGIN, json=given)).status_code] += 1
    return statuses


async def test_t10_two_hundred_bad_logins_are_throttled(served: Serve) -> None:
    async with served() as http:
        assert await guess(http, 200) == {401: LIMIT, 429: 200 - LIMIT}


async def test_t10_with_redis_stopped_they_are_throttled_too(served: Serve) -> None:
    """Two processes, which know nothing of each other: together they allow what they do with Redis."""
    away = f"redis://{NOBODY}"
    async with served(REDIS_URL=away) as one, served(REDIS_URL=away) as other:
        statuses = await guess(one, 100) + await guess(other, 100)
    assert statuses == {401: LIMIT, 429: 200 - LIMIT}


async def test_with_redis_stopped_people_still_log_in(served: Serve) -> None:
    async with served(REDIS_URL=f"redis://{NOBODY}") as http:
        for _ in range(3 * LIMIT):
            await log_in(http)


async def test_a_refused_login_says_when_to_come_back(served: Serve) -> None:
    async with served() as http:
        await guess(http, LIMIT)
        answer = await http.post(LOGIN, json={"email": EMAILS[OWNER], "password": "a wrong password"})
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "too_many_requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 86400
    assert answer.headers.get_list("RateLimit-Limit") == [str(LIMIT)]
    assert answer.headers.get_list("RateLimit-Remaining") == ["0"]
    assert answer.headers.get_list("RateLimit-Reset") == [answer.headers["Retry-After"]]


@pytest.mark.parametrize("email", [EMAILS[OWNER], "nobody@example.com"])
async def test_the_limit_does_not_tell_whether_an_account_exists(served: Serve, email: str) -> None:
    async with served() as http:
        assert await guess(http, LIMIT + 1, email) == {401: LIMIT, 429: 1}


async def test_the_attacked_person_still_logs_in_from_home(served: Serve) -> None:
    """And only from where this account logged in before: who attacks from elsewhere is refused."""
    async with served(HOME) as home:
        await log_in(home)
        for number in range(ACCOUNT_TIMES):
            async with served(f"198.51.100.{number}") as attacker:
                assert await guess(attacker, LIMIT, EMAILS[OWNER]) == {401: LIMIT}
        async with served("203.0.113.1") as stranger:
            assert await guess(stranger, 1, EMAILS[OWNER]) == {429: 1}
        await log_in(home)
