"""Cookie mode: no token in reach of scripts, nothing changed without the token of the session."""

import json
from http.cookies import Morsel, SimpleCookie
from typing import Any

import httpx
import pytest

from app.core.config import AppSettings, Environment
from app.core.database import Sessions
from tests.accounts import EMAILS, OTHER, OWNER
from tests.passwords import LOGIN, ME, PASSWORD, give_password, log_in, with_token
from tests.serving import serve

AUTH = "/api/v1/auth"
REFRESH, LOGOUT, CSRF = f"{AUTH}/refresh", f"{AUTH}/logout", f"{AUTH}/csrf"
HEADER = "X-CSRF-Token"

pytestmark = pytest.mark.usefixtures("passwords")


@pytest.fixture
async def passwords(sessions: Sessions, settings: AppSettings) -> None:
    await give_password(sessions, settings)
    await give_password(sessions, settings, OTHER)


def cookies_of(answer: httpx.Response) -> dict[str, Morsel[str]]:
    jar: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        jar.load(header)
    return dict(jar)


async def browser_login(http: httpx.AsyncClient, **headers: str) -> httpx.Response:
    given = {"email": EMAILS[OWNER], "password": PASSWORD, "cookie": True}
    return await http.post(LOGIN, json=given, headers=headers)


async def test_the_tokens_are_in_cookies_alone(anonymous: httpx.AsyncClient) -> None:
    answer = await browser_login(anonymous)
    assert set(answer.json()) == {"csrf_token", "expires_in", "scope"}
    for cookie in cookies_of(answer).values():
        assert cookie.value not in answer.text


async def test_scripts_and_other_sites_do_not_get_the_cookies(anonymous: httpx.AsyncClient) -> None:
    cookies = cookies_of(await browser_login(anonymous))
    access, refresh = cookies["holdfast_access"], cookies["holdfast_refresh"]
    assert access["httponly"]
    assert refresh["httponly"]
    assert (access["samesite"], access["path"], access["max-age"]) == ("lax", "/", "900")
    assert (refresh["samesite"], refresh["path"], refresh["max-age"]) == ("strict", AUTH, str(30 * 86400))


@pytest.mark.parametrize(
    ("environment", "scheme", "secure"),
    [
        (Environment.TESTING, "http", False),
        (Environment.TESTING, "https", True),
        (Environment.STAGING, "http", True),
        (Environment.PRODUCTION, "http", True),
    ],
)
async def test_cookies_are_secure_wherever_it_counts(
    settings: AppSettings, environment: Environment, scheme: str, *, secure: bool
) -> None:
    async with serve(settings.model_copy(update={"app_env": environment})) as http:
        http.base_url = httpx.URL(f"{scheme}://localhost")
        cookies = cookies_of(await browser_login(http))
    assert [bool(cookie["secure"]) for cookie in cookies.values()] == [secure, secure]


async def test_a_cookie_reads_without_a_csrf_token(anonymous: httpx.AsyncClient) -> None:
    await log_in(anonymous, cookie=True)
    assert (await anonymous.get(ME)).status_code == 200


@pytest.mark.parametrize("path", [REFRESH, LOGOUT, f"{AUTH}/logout-all"])
@pytest.mark.parametrize("kind", ["missing", "wrong", "of another session", "not ASCII"])
async def test_a_change_by_cookie_needs_the_token_of_the_session(
    anonymous: httpx.AsyncClient, path: str, kind: str
) -> None:
    other = (await log_in(anonymous, OTHER, cookie=True))["csrf_token"]
    await log_in(anonymous, cookie=True)
    given = {"missing": "", "wrong": "0" * 64, "of another session": other, "not ASCII": "é" * 64}[kind]
    answer = await anonymous.post(path, headers=[(HEADER.encode(), given.encode())] if given else None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert (await anonymous.get(ME)).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost.evil.example", "http://localhost:1", "http://[", ""],
)
async def test_a_change_by_cookie_from_another_origin_is_refused(
    anonymous: httpx.AsyncClient, origin: str
) -> None:
    token = (await log_in(anonymous, cookie=True))["csrf_token"]
    for path in (REFRESH, LOGOUT):
        answer = await anonymous.post(path, headers={HEADER: token, "Origin": origin})
        assert answer.status_code == 403
    assert (await anonymous.get(ME)).status_code == 200


@pytest.mark.parametrize("origin", ["http://localhost", "https://localhost", "http://localhost:3000"])
async def test_our_own_origins_are_taken(anonymous: httpx.AsyncClient, origin: str) -> None:
    token = (await log_in(anonymous, cookie=True))["csrf_token"]
    answer = await anonymous.post(REFRESH, headers={HEADER: token, "Origin": origin})
    assert answer.status_code == 200


async def test_a_page_without_tls_is_not_ours_where_we_have_it(settings: AppSettings) -> None:
    async with serve(settings) as http:
        http.base_url = httpx.URL("https://localhost")
        assert (await browser_login(http, Origin="http://localhost")).status_code == 403
        assert (await browser_login(http, Origin="https://localhost")).status_code == 200


async def test_another_site_cannot_log_a_visitor_in(anonymous: httpx.AsyncClient) -> None:
    answer = await browser_login(anonymous, Origin="https://evil.example")
    assert answer.status_code == 403
    assert not cookies_of(answer)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_what_a_form_of_another_site_can_send_is_no_login(
    anonymous: httpx.AsyncClient, content_type: str | None
) -> None:
    """Browsers that send no origin with it still ask first before they send JSON (Fetch, section 4.10)."""
    body = json.dumps({"email": EMAILS[OWNER], "password": PASSWORD, "cookie": True}).encode()
    headers = {"content-type": content_type} if content_type else {}
    answer = await anonymous.post(LOGIN, content=body, headers=headers)
    assert answer.status_code == 422
    assert not cookies_of(answer)


async def test_a_refresh_by_cookie_renews_the_cookies(anonymous: httpx.AsyncClient) -> None:
    token = (await log_in(anonymous, cookie=True))["csrf_token"]
    before = dict(anonymous.cookies)
    answer = await anonymous.post(REFRESH, headers={HEADER: token})
    assert answer.status_code == 200
    assert answer.json()["csrf_token"] == token
    assert set(cookies_of(answer)) == {"holdfast_access", "holdfast_refresh"}
    assert all(anonymous.cookies[name] != value for name, value in before.items())
    assert all(cookie.value not in answer.text for cookie in cookies_of(answer).values())
    assert (await anonymous.get(ME)).status_code == 200


async def test_a_forged_refresh_cookie_is_refused(anonymous: httpx.AsyncClient) -> None:
    for value in ("hfr_" + "A" * 86, "x"):
        answer = await anonymous.post(
            REFRESH, headers={HEADER: "0" * 64, "Cookie": f"holdfast_refresh={value}"}
        )
        assert answer.status_code == 401


async def test_a_page_that_was_loaded_anew_asks_for_its_token(anonymous: httpx.AsyncClient) -> None:
    token = (await log_in(anonymous, cookie=True))["csrf_token"]
    answer = await anonymous.get(CSRF)
    assert answer.json() == {"csrf_token": token}
    assert answer.headers["cache-control"] == "no-store"


async def test_the_refresh_cookie_outlives_the_access_cookie(anonymous: httpx.AsyncClient) -> None:
    await log_in(anonymous, cookie=True)
    anonymous.cookies.delete("holdfast_access")
    token = (await anonymous.get(CSRF)).json()["csrf_token"]
    assert (await anonymous.post(LOGOUT, headers={HEADER: token})).status_code == 204


async def test_nobody_else_is_told_a_token(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get(CSRF)).status_code == 401
    forged = {"Cookie": "holdfast_refresh=hfr_" + "A" * 86}
    assert (await anonymous.get(CSRF, headers=forged)).status_code == 401


async def test_logging_out_takes_the_cookies_back(anonymous: httpx.AsyncClient) -> None:
    token = (await log_in(anonymous, cookie=True))["csrf_token"]
    kept = {"Cookie": "; ".join(f"{name}={value}" for name, value in anonymous.cookies.items())}
    answer = await anonymous.post(LOGOUT, headers={HEADER: token})
    assert answer.status_code == 204
    assert [cookie["max-age"] for cookie in cookies_of(answer).values()] == ["0", "0"]
    assert not dict(anonymous.cookies)
    assert (await anonymous.get(ME, headers=kept)).status_code == 401
    assert (await anonymous.get(CSRF, headers=kept)).status_code == 401


async def test_a_bearer_token_needs_no_csrf_token(anonymous: httpx.AsyncClient) -> None:
    body: dict[str, Any] = await log_in(anonymous)
    assert (await anonymous.post(LOGOUT, headers=with_token(body["access_token"]))).status_code == 204


async def test_a_bearer_token_comes_before_a_cookie(anonymous: httpx.AsyncClient) -> None:
    await log_in(anonymous, cookie=True)
    answer = await anonymous.get(ME, headers=with_token("not.a.token"))
    assert answer.status_code == 401
