"""What is told of a request that does not validate (L7, T3)."""

import httpx
import pytest
from pydantic import BaseModel

from app.core.config import AppSettings
from app.main import create_app
from tests.serving import serve


async def test_l7_validation_names_field_location_and_reason(http: httpx.AsyncClient) -> None:
    answer = await http.post("/login", json={"name": "a", "password": "long enough", "age": "x"})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "validation_error"
    assert error["details"] == [
        {"field": "name", "location": "body", "reason": "String should have at least 3 characters"},
        {
            "field": "age",
            "location": "body",
            "reason": "Input should be a valid integer, unable to parse string as an integer",
        },
    ]


async def test_a_fault_in_the_query_is_located_there(http: httpx.AsyncClient) -> None:
    details = (await http.get("/numbers?limit=0")).json()["error"]["details"]
    assert details == [
        {"field": "limit", "location": "query", "reason": "Input should be greater than or equal to 1"}
    ]


async def test_validation_never_repeats_the_value_of_a_secret(http: httpx.AsyncClient) -> None:
    answer = await http.post("/login", json={"name": "anna", "password": "hunter2"})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"] == "password"
    assert "hunter2" not in answer.text


async def test_the_faults_of_one_request_are_bounded(http: httpx.AsyncClient, settings: AppSettings) -> None:
    class Closed(BaseModel, extra="forbid"):
        pass

    app = create_app(settings)

    @app.post("/closed")
    async def closed(body: Closed) -> None: ...

    async with serve(settings, app=app) as client:
        answer = await client.post("/closed", json={f"k{i}": 1 for i in range(500)})
    assert len(answer.json()["error"]["details"]) == 50


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"name": }', b"\xff\xfe", b'{"age": ' + b"9" * 5000 + b"}", b"[" * 100_000, b"nonsense"],
    ids=["open", "hole", "not-utf8", "huge-number", "nested", "word"],
)
async def test_malformed_json_is_422(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/login", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "validation_error"
    assert answer.json()["error"]["details"][0]["location"] == "body"


async def test_the_length_of_a_secret_is_told_in_characters(anonymous: httpx.AsyncClient) -> None:
    given = {"token": "x", "password": "short"}
    answer = await anonymous.post("/api/v1/auth/password/reset", json=given)
    reasons = {fault["field"]: fault["reason"] for fault in answer.json()["error"]["details"]}
    assert reasons["password"] == "Value should have at least 10 characters"


async def test_who_sends_a_form_where_json_is_expected_is_told_so(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post("/api/v1/auth/login", data={"email": "a@b.example", "password": "p"})
    assert answer.status_code == 422
    assert "must be JSON" in answer.json()["error"]["message"]
