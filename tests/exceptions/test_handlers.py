"""The one form of errors, and the problem document (A4, A17, L7, T3)."""

import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from tests.configuration import make_settings
from tests.exceptions.failing import with_routes
from tests.serving import NOBODY, serve

PROBLEM = {"Accept": "application/problem+json"}


def lines(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines() if line.startswith("{")]


async def test_l7_not_found_exception_has_status_code_and_message(http: httpx.AsyncClient) -> None:
    answer = await http.get("/fail/not-found")
    assert answer.status_code == 404
    assert answer.json()["error"] == {"code": "not_found", "message": "User not found", "details": None}


async def test_a4_every_error_has_the_one_form(http: httpx.AsyncClient) -> None:
    for how in ("not-found", "bad", "forbidden", "internal", "teapot", "away", "redis", "crash", "http"):
        answer = await http.get(f"/fail/{how}")
        body = answer.json()
        assert set(body) == {"error", "request_id", "timestamp"}, how
        assert set(body["error"]) == {"code", "message", "details"}, how
        assert body["request_id"] == answer.headers["X-Request-ID"], how
        assert body["timestamp"].endswith("Z"), how
        assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None, how


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("bad", 400, "bad_request"),
        ("forbidden", 403, "forbidden"),
        ("internal", 500, "internal_error"),
        ("teapot", 418, "teapot"),
        ("http", 402, "payment_required"),
        ("own-404", 404, "not_found"),
    ],
)
async def test_status_and_code_of(http: httpx.AsyncClient, how: str, status: int, code: str) -> None:
    answer = await http.get(f"/fail/{how}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_headers_of_an_exception_are_sent(http: httpx.AsyncClient) -> None:
    assert (await http.get("/fail/teapot")).headers["X-Tea"] == "green"
    assert (await http.get("/fail/away")).headers["Retry-After"] == "9"


async def test_a_route_that_says_404_is_not_taken_for_an_unknown_path(http: httpx.AsyncClient) -> None:
    assert (await http.get("/fail/own-404")).json()["error"]["message"] == "No such pump"


async def test_problem_document_on_request(http: httpx.AsyncClient) -> None:
    """RFC 9457."""
    answer = await http.get("/fail/bad", headers=PROBLEM)
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body.pop("timestamp").endswith("Z")
    assert body.pop("request_id") == answer.headers["X-Request-ID"]
    assert body == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Bad",
        "code": "bad_request",
        "details": {"why": "so"},
    }


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, application/problem+json", "application/problem+json"),
        ("application/json, application/problem+json;q=0.5", "application/json"),
        ("Application/Problem+JSON; q=0.3", "application/problem+json"),
        ("application/problem+json;q=0", "application/json"),
        ("application/problem+json;q=x", "application/json"),
    ],
)
async def test_the_form_follows_accept(http: httpx.AsyncClient, accept: str, media_type: str) -> None:
    answer = await http.get("/fail/bad", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == media_type


async def test_a17_an_unknown_path_is_told_with_the_nearest(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/pingg")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["code"] == "not_found"
    assert error["message"] == "Nothing is at /api/v1/pingg. Did you mean /api/v1/ping?"
    assert error["details"] == {"path": "/api/v1/pingg", "nearest": "/api/v1/ping"}


async def test_an_unknown_path_like_no_other_points_to_the_list(http: httpx.AsyncClient) -> None:
    answer = await http.get("/zzzzzzzzzzzzzz")
    assert answer.json()["error"]["details"]["nearest"] is None


async def test_a_very_long_unknown_path_is_cut(http: httpx.AsyncClient) -> None:
    answer = await http.get("/" + "x" * 5000)
    assert len(answer.json()["error"]["message"]) < 400


async def test_a_wrong_method_is_told_with_all_right_ones(http: httpx.AsyncClient) -> None:
    answer = await http.delete("/fail/bad")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, PUT"
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert answer.json()["error"]["details"] == {"allowed": ["GET", "PUT"]}


async def test_a17_500_leaks_nothing(http: httpx.AsyncClient) -> None:
    answer = await http.get("/fail/crash")
    assert answer.status_code == 500
    assert "pump" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_l7_500_is_logged_with_its_traceback_under_the_request_id(
    http: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    request_id = str(uuid.uuid4())
    await http.get("/fail/crash", headers={"X-Request-ID": request_id})
    failed = next(line for line in lines(capfd.readouterr().out) if line["message"] == "request_failed")
    assert failed["request_id"] == request_id
    assert failed["level"] == "ERROR"
    assert "RuntimeError: secret detail of the pump" in failed["exc_info"]


async def test_redis_away_is_503_without_its_address(http: httpx.AsyncClient) -> None:
    answer = await http.get("/fail/redis")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "service_unavailable"
    assert answer.headers["Retry-After"] == "2"
    assert "10.0.0.7" not in answer.text


async def test_postgresql_away_is_503(redis_url: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, f"postgresql://nobody@{NOBODY}/none", redis_url)
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        answer = await http.get("/query")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "service_unavailable"
    assert answer.headers["Retry-After"] == "2"


async def test_a_value_that_postgresql_cannot_store_is_422(http: httpx.AsyncClient) -> None:
    answer = await http.get("/query?value=%00")
    assert answer.status_code == 422


async def test_a_wrong_statement_is_500_and_not_the_clients_fault(http: httpx.AsyncClient) -> None:
    answer = await http.get("/wrong-query")
    assert answer.status_code == 500
    assert "nowhere" not in answer.text
