"""What all layers together do to a request and its answer (A2, A10, L5, P4, T2)."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.config import AppSettings
from app.core.drain import Drain
from app.main import create_app
from app.middleware.security_headers import NOTHING
from tests.configuration import make_settings
from tests.serving import serve

ORIGIN = "http://localhost:3000"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": NOTHING.decode(),
}


def settings_with(settings: AppSettings, folder: Path, **values: str) -> AppSettings:
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    return make_settings(folder, database, redis, **values)


def access_lines(captured: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in captured.splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == "request"]


@pytest.mark.parametrize("path", ["/api/v1/ping", "/nowhere", "/docs"])
async def test_l5_a10_every_answer_carries_a_request_id(client: httpx.AsyncClient, path: str) -> None:
    assert uuid.UUID((await client.get(path)).headers["X-Request-ID"]).version == 4


async def test_a10_a_well_formed_request_id_comes_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/ping", headers={"X-Request-ID": "from-the-proxy.1"})
    assert answer.headers["X-Request-ID"] == "from-the-proxy.1"


async def test_a10_a_malformed_request_id_is_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/ping", headers={"X-Request-ID": "*/ DROP TABLE jobs"})
    assert uuid.UUID(answer.headers["X-Request-ID"]).version == 4


async def test_l5_a_preflight_is_granted_and_carries_a_request_id(client: httpx.AsyncClient) -> None:
    answer = await client.options("/api/v1/ping", headers=PREFLIGHT)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert uuid.UUID(answer.headers["X-Request-ID"]).version == 4


async def test_a_preflight_from_elsewhere_is_refused_in_the_one_form(client: httpx.AsyncClient) -> None:
    answer = await client.options("/api/v1/ping", headers=PREFLIGHT | {"Origin": "http://evil.example"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Disallowed CORS origin."
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a2_localhost_3000_may_read_answers_by_default(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/ping", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


async def test_a_page_may_read_errors_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_p4_origins_are_a_comma_list(settings: AppSettings, tmp_path: Path) -> None:
    chosen = settings_with(settings, tmp_path, CORS_ORIGINS="https://a.example,https://b.example")
    async with serve(chosen) as http:
        for origin in ("https://a.example", "https://b.example"):
            answer = await http.get("/api/v1/ping", headers={"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == origin
        answer = await http.get("/api/v1/ping", headers={"Origin": ORIGIN})
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_caches_keep_answers_apart_by_origin(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"Origin": ORIGIN}, {"Origin": "http://evil.example"}):
        answer = await client.get("/api/v1/ping", headers=headers)
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/api/v1/ping", "/nowhere"])
async def test_t2_security_headers_are_on_answers_and_errors(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    assert "camera=()" in answer.headers["Permissions-Policy"]


async def test_hsts_is_for_production_only(settings: AppSettings, tmp_path: Path) -> None:
    async with serve(settings) as http:
        assert "Strict-Transport-Security" not in (await http.get("/health/live")).headers
    production = settings_with(settings, tmp_path, APP_ENV="production")
    async with serve(production) as http:
        assert "max-age=63072000" in (await http.get("/health/live")).headers["Strict-Transport-Security"]


async def test_while_draining_answers_ask_to_close(settings: AppSettings) -> None:
    drain = Drain()
    async with serve(settings, drain=drain) as http:
        assert "Connection" not in (await http.get("/api/v1/ping")).headers
        drain.start()
        assert (await http.get("/api/v1/ping")).headers["Connection"] == "close"
        assert (await http.get("/nowhere")).headers["Connection"] == "close"


async def test_a_declared_body_over_the_limit_is_413(
    client: httpx.AsyncClient, settings: AppSettings
) -> None:
    answer = await client.post("/api/v1/ping", content=b"x" * (settings.server.max_body_size + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "payload_too_large"
    assert answer.headers["X-Frame-Options"] == "DENY"


async def test_a_body_without_a_length_over_the_limit_is_413(settings: AppSettings, tmp_path: Path) -> None:
    """FastAPI wraps what ends the reading of a body; the answer is still the one that ended it."""
    app = create_app(settings_with(settings, tmp_path, MAX_BODY_SIZE="100"))

    @app.post("/echo")
    async def echo(body: dict[str, str]) -> dict[str, str]:
        return body

    async def long() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 60

    async with serve(settings, app=app) as http:
        answer = await http.post("/echo", content=long(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


async def test_ambiguous_framing_is_400(client: httpx.AsyncClient) -> None:
    headers = {"Content-Length": "4", "Transfer-Encoding": "chunked"}
    answer = await client.post("/api/v1/ping", content=b"1234", headers=headers)
    assert answer.status_code == 400
    assert answer.headers["Connection"] == "close"


async def test_an_untrusted_host_is_refused_with_all_headers(settings: AppSettings, tmp_path: Path) -> None:
    chosen = settings_with(settings, tmp_path, TRUSTED_HOSTS="localhost,*.example.org")
    async with serve(chosen) as http:
        assert (await http.get("/api/v1/ping")).status_code == 200
        assert (await http.get("/api/v1/ping", headers={"Host": "a.example.org:80"})).status_code == 200
        answer = await http.get("/api/v1/ping", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
    assert answer.headers["X-Frame-Options"] == "DENY"


async def test_probes_ask_under_any_name(settings: AppSettings, tmp_path: Path) -> None:
    async with serve(settings_with(settings, tmp_path, TRUSTED_HOSTS="api.example.org")) as http:
        for path, status in {"/health/live": 200, "/health/ready": 200, "/metrics": 400}.items():
            assert (await http.get(path, headers={"Host": "10.1.2.3:8000"})).status_code == status


async def test_metrics_that_need_a_token_are_scraped_under_any_name(
    settings: AppSettings, tmp_path: Path
) -> None:
    chosen = settings_with(settings, tmp_path, TRUSTED_HOSTS="api.example.org", METRICS_TOKEN="scrape-me")
    by_address = {"Host": "10.1.2.3:8000"}
    async with serve(chosen) as http:
        assert (await http.get("/metrics", headers=by_address)).status_code == 401
        told = by_address | {"Authorization": "Bearer scrape-me"}
        assert (await http.get("/metrics", headers=told)).status_code == 200
        assert (await http.get("/api/v1/ping", headers=told)).status_code == 400


async def test_a9_the_access_log_tells_of_a_request(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await client.get("/api/v1/info?token=hunter2", headers={"X-Request-ID": "one"})
    (line,) = access_lines(capfd.readouterr().out)
    assert line["duration_ms"] > 0
    expected = {
        "level": "INFO",
        "request_id": "one",
        "method": "GET",
        "path": "/api/v1/info",
        "route": "/api/v1/info",
        "status": 200,
        "bytes": len(answer.content),
        "client": "127.0.0.1",
    }
    assert {name: line[name] for name in expected} == expected
    assert "hunter2" not in json.dumps(line)


async def test_the_access_log_names_the_template_of_a_route(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await client.get("/docs/assets/redoc.js")
    (line,) = access_lines(capfd.readouterr().out)
    assert (line["path"], line["route"]) == ("/docs/assets/redoc.js", "/docs/assets/{name}")


async def test_the_access_log_has_one_name_for_unknown_paths(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await client.get("/wp-admin")
    (line,) = access_lines(capfd.readouterr().out)
    assert (line["route"], line["status"]) == ("unmatched", 404)


async def test_probes_are_logged_at_debug_only(
    settings: AppSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serve(settings) as http:
        await http.get("/health/live")
    assert access_lines(capfd.readouterr().out) == []
    async with serve(settings_with(settings, tmp_path, DEBUG="true")) as http:
        await http.get("/health/live")
    (line,) = access_lines(capfd.readouterr().out)
    assert line["level"] == "DEBUG"


async def test_the_access_line_stays_whole_and_short_whatever_is_asked(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await client.request("X" * 5000, '/%00%01"\\%E2%82%AC' + "%01" * 4000)
    out = capfd.readouterr().out
    (line,) = access_lines(out)
    assert line["path"].startswith('/\x00\x01"\\€')
    assert max(len(line.encode()) for line in out.splitlines()) < 4095


async def test_the_access_log_masks_secrets_in_paths(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await client.get("/reset/token=hunter2")
    assert "hunter2" not in str(access_lines(capfd.readouterr().out))
