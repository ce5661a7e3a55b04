"""What the front end's pages may do."""

import base64
import hashlib
import json

import httpx
import pytest

from app.api.frontend.policy import PagePolicy
from tests.api.frontend.conftest import INLINE, Make, Serve

LIVEKIT = {"LIVEKIT_URL": "wss://live.example.org:7443/x", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s"}


def directives(policy: str) -> dict[str, list[str]]:
    return {name: sources for name, *sources in (part.split() for part in policy.split(";"))}


async def test_v2_a_page_may_run_its_own_scripts_and_no_others(http: httpx.AsyncClient) -> None:
    policy = directives((await http.get("/")).headers["Content-Security-Policy"])
    digest = base64.b64encode(hashlib.sha256(INLINE.replace("\r\n", "\n").encode()).digest()).decode()
    assert policy["script-src"] == ["'self'", f"'sha256-{digest}'"]
    assert policy["connect-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]


async def test_v2_answers_of_the_api_stay_strict(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/ping")
    assert directives(answer.headers["Content-Security-Policy"])["default-src"] == ["'none'"]
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_v2_a_page_may_ask_for_the_camera_and_keeps_the_other_headers(http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    assert "camera=(self)" in answer.headers["Permissions-Policy"]
    names = [name for name, _ in answer.headers.multi_items()]
    for name in ("permissions-policy", "referrer-policy", "x-frame-options", "x-content-type-options"):
        assert names.count(name) == 1


def test_v2_pages_may_connect_to_the_rooms(make: Make) -> None:
    policy = directives(PagePolicy(make(**LIVEKIT)).of(b""))
    assert policy["connect-src"] == ["'self'", "wss://live.example.org:7443", "https://live.example.org:7443"]


def test_v2_scripts_with_a_source_need_no_hash(make: Make) -> None:
    page = b"<script src=a.js></script><p>x</p><script>1</script><script>1</script>"
    assert len(directives(PagePolicy(make()).of(page))["script-src"]) == 2


def test_v2_a_policy_can_be_replaced(make: Make) -> None:
    assert PagePolicy(make(FRONTEND_CSP="default-src https:")).of(b"") == "default-src https:"


async def test_v2_the_log_is_quiet_about_assets_that_are_there(
    served: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    async with served() as http:
        for path in ("/assets/app-3f9a1c.js", "/assets/gone.js", "/login", "/nowhere.png"):
            await http.get(path)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    told = {line["path"]: line["route"] for line in lines if line["message"] == "request"}
    assert told == {"/assets/gone.js": "/assets/{path}", "/login": "/{path}", "/nowhere.png": "unmatched"}
