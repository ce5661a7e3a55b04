"""How often one may ask, through the whole application."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import digest
from app.models.api_key import ApiKey
from app.models.base import new_id
from app.services.auth.gate import ACCESS_COOKIE
from app.services.auth.scopes import Scope
from tests.accounts import OTHER, OWNER, SERVICE, bearer
from tests.configuration import make_settings
from tests.serving import NOBODY, serve

PATH = "/api/v1/ping"
KEY = "hfk_" + "k" * 43
LIMIT = 6
ACCOUNT_LIMIT = 9

pytestmark = pytest.mark.usefixtures("redis", "one_window")

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def limited(settings: AppSettings, tmp_path: Path) -> Serve:
    """A client of an application with low limits: each is a process of its own."""

    @asynccontextmanager
    async def limited(client: str = "127.0.0.1", **values: str) -> AsyncIterator[httpx.AsyncClient]:
        low = {"RATE_LIMIT_DEFAULT": f"{LIMIT}/day", "RATE_LIMIT_ACCOUNT": f"{ACCOUNT_LIMIT}/day"}
        database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
        chosen = make_settings(tmp_path, database, values.pop("REDIS_URL", redis), **low | values)
        async with serve(chosen, client=client) as http:
            yield http

    return limited


async def answered(http: httpx.AsyncClient, headers: dict[str, str] | None = None, *, times: int = 20) -> int:
    """How many of so many requests are let through."""
    return sum([(await http.get(PATH, headers=headers)).status_code == 200 for _ in range(times)])


async def make_key(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        session.add(
            ApiKey(
                id=new_id(),
                user_id=SERVICE,
                name="key",
                prefix=KEY[:8],
                key_hash=digest(KEY),
                scopes=[str(Scope.ACCOUNT_READ), str(Scope.JOBS_READ)],
                created_at=datetime.now(UTC),
            )
        )


async def test_t2_an_address_may_ask_so_often(limited: Serve) -> None:
    async with limited() as http:
        assert await answered(http) == LIMIT


async def test_another_address_is_not_its_neighbour(limited: Serve) -> None:
    async with limited() as http:
        await answered(http)
    async with limited("127.0.0.2") as http:
        assert await answered(http) == LIMIT


async def test_a_customer_of_ipv6_is_one_address(limited: Serve) -> None:
    async with limited("2001:db8::1") as http:
        await answered(http)
    async with limited("2001:db8::ffff:1") as http:
        assert await answered(http) == 0
    async with limited("2001:db8:0:1::1") as http:
        assert await answered(http) == LIMIT


async def test_an_answer_tells_how_the_caller_stands(limited: Serve) -> None:
    async with limited() as http:
        headers = (await http.get(PATH)).headers
    assert headers["RateLimit-Limit"] == str(LIMIT)
    assert headers["RateLimit-Remaining"] == str(LIMIT - 1)
    assert 1 <= int(headers["RateLimit-Reset"]) <= 86400
    assert headers["RateLimit-Policy"] == f"{LIMIT};w=86400"


async def test_an_error_tells_it_too(limited: Serve) -> None:
    async with limited() as http:
        assert "RateLimit-Remaining" in (await http.get("/nowhere")).headers


async def test_a_refusal_has_the_one_form_and_says_when_to_come_back(limited: Serve) -> None:
    async with limited() as http:
        await answered(http)
        refusal = await http.get(PATH)
    assert refusal.status_code == 429
    assert refusal.json()["error"]["code"] == "too_many_requests"
    assert refusal.headers["Retry-After"] == refusal.headers["RateLimit-Reset"]
    assert refusal.headers["RateLimit-Remaining"] == "0"


async def test_a_refusal_can_be_a_problem_document(limited: Serve) -> None:
    async with limited() as http:
        await answered(http)
        refusal = await http.get(PATH, headers={"Accept": "application/problem+json"})
    assert refusal.headers["Content-Type"] == "application/problem+json"
    assert (refusal.json()["status"], refusal.json()["code"]) == (429, "too_many_requests")
    assert "Retry-After" in refusal.headers


async def test_pages_of_other_origins_may_read_it(limited: Serve) -> None:
    async with limited() as http:
        answer = await http.get(PATH, headers={"Origin": "http://localhost:3000"})
    exposed = set(re.split(", *", answer.headers["Access-Control-Expose-Headers"]))
    assert {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy"} <= exposed
    assert "Retry-After" in exposed


@pytest.mark.parametrize(
    "path",
    ["/health", "/health/live", "/health/ready", "/api/v1/health", "/metrics", "/docs/assets/page.css"],
)
async def test_probes_and_scripts_are_not_limited(limited: Serve, path: str) -> None:
    async with limited() as http:
        await answered(http)
        answer = await http.get(path)
    assert answer.status_code != 429
    assert "RateLimit-Limit" not in answer.headers


async def test_preflights_are_not_limited(limited: Serve) -> None:
    preflight = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    async with limited() as http:
        await answered(http)
        assert (await http.options(PATH, headers=preflight)).status_code == 200


async def test_a_token_counts_for_its_account(limited: Serve, settings: AppSettings) -> None:
    """People of one office share an address and not a limit."""
    async with limited() as http:
        assert await answered(http, bearer(settings, OWNER)) == ACCOUNT_LIMIT
        assert await answered(http, bearer(settings, OTHER)) == ACCOUNT_LIMIT
        assert await answered(http) == LIMIT


async def test_an_account_is_one_from_all_addresses(limited: Serve, settings: AppSettings) -> None:
    async with limited() as http:
        await answered(http, bearer(settings))
    async with limited("127.0.0.2") as http:
        assert await answered(http, bearer(settings)) == 0


async def test_a_cookie_counts_for_its_account(limited: Serve, settings: AppSettings) -> None:
    token = bearer(settings)["Authorization"].removeprefix("Bearer ")
    async with limited() as http:
        assert await answered(http, {"Cookie": f"theme=dark; {ACCESS_COOKIE}={token}"}) == ACCOUNT_LIMIT


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
async def test_a_key_that_was_let_in_counts_for_itself(
    limited: Serve, sessions: Sessions, header: str
) -> None:
    await make_key(sessions)
    credential = {header: KEY if header == "X-API-Key" else f"Bearer {KEY}"}
    async with limited() as http:
        # Which account it is of is known once a route has looked it up.
        assert (await http.get("/api/v1/jobs", headers=credential)).status_code == 200
        assert await answered(http, credential) == ACCOUNT_LIMIT
        assert await answered(http) == LIMIT - 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer made.up.token"},
        {"Authorization": "Basic dTpw"},
        {"Authorization": "Bearer " + KEY},
        {"X-API-Key": KEY},
        {"Cookie": f"{ACCESS_COOKIE}=x"},
        {"Authorization": "Bearer"},
    ],
)
async def test_a_credential_that_cannot_be_verified_counts_for_the_address(
    limited: Serve, headers: dict[str, str]
) -> None:
    """Else making up credentials would be a way around the limit."""
    async with limited() as http:
        assert await answered(http, headers) == LIMIT


async def test_processes_share_a_limit(limited: Serve) -> None:
    async with limited() as one, limited() as other:
        assert await answered(one, times=4) + await answered(other, times=4) == LIMIT


async def test_without_redis_a_process_allows_its_share(limited: Serve) -> None:
    async with limited(REDIS_URL=f"redis://{NOBODY}", API_PROCESSES="2") as http:
        assert await answered(http) == LIMIT // 2


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("register", "RATE_LIMIT_REGISTER"),
        ("password/forgot", "RATE_LIMIT_RESET"),
        ("password/reset", "RATE_LIMIT_RESET"),
        ("verify-email", "RATE_LIMIT_RESET"),
        ("verify-email/resend", "RATE_LIMIT_RESET"),
    ],
)
async def test_what_costs_has_a_limit_of_its_own(limited: Serve, path: str, setting: str) -> None:
    async with limited(**{"RATE_LIMIT_DEFAULT": "1000/day", setting: "2/day"}) as http:
        answers = [await http.post(f"/api/v1/auth/{path}", json={}) for _ in range(3)]
        assert [answer.status_code == 429 for answer in answers] == [False, False, True]
        assert answers[0].headers["RateLimit-Limit"] == "2"
        assert await answered(http, times=3) == 3


async def test_an_account_does_not_lift_the_limit_of_what_costs(
    limited: Serve, settings: AppSettings
) -> None:
    async with limited(RATE_LIMIT_REGISTER="1/day") as http:
        for user, status in ((OWNER, False), (OTHER, True)):
            answer = await http.post("/api/v1/auth/register", json={}, headers=bearer(settings, user))
            assert (answer.status_code == 429) is status


async def test_limits_can_be_off(limited: Serve) -> None:
    async with limited(RATE_LIMIT_ENABLED="false") as http:
        assert await answered(http) == 20
        assert "RateLimit-Limit" not in (await http.get(PATH)).headers
