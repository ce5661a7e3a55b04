"""The OpenAPI document and its pages (A18, L9)."""

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import __version__

REFERENCES = {
    "application/json": "#/components/schemas/ErrorResponse",
    "application/problem+json": "#/components/schemas/ProblemResponse",
}


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


async def test_l9_the_document_has_title_description_version_and_tags(document: dict[str, Any]) -> None:
    assert document["info"]["title"] == "Holdfast"
    assert document["info"]["version"] == __version__
    assert "Every error has one form" in document["info"]["description"]
    assert all(tag["description"] for tag in document["tags"])


async def test_every_operation_has_a_tag_that_is_described(document: dict[str, Any]) -> None:
    described = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert set(operation["tags"]) <= described, name
        assert operation["tags"], name


async def test_every_operation_declares_its_errors_in_both_forms(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert {"400", "500", "503"} <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            if status >= "400" and "health" not in name and "ready" not in name:
                content = response["content"]
                references = {kind: content[kind]["schema"].get("$ref") for kind in content}
                assert references == REFERENCES, (name, status)


async def test_operations_with_input_declare_422_in_the_one_form(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        takes_input = "parameters" in operation or "requestBody" in operation
        assert ("422" in operation["responses"]) == takes_input, name
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_operations_of_the_owner_declare_403(document: dict[str, Any]) -> None:
    assert "403" in document["paths"]["/health/detailed"]["get"]["responses"]
    assert "403" not in document["paths"]["/health"]["get"]["responses"]


async def test_every_reference_leads_somewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", answer.text)) <= set(schemas)


async def test_the_document_is_built_once(app: FastAPI) -> None:
    assert app.openapi() is app.openapi()


@pytest.mark.parametrize("path", ["/docs", "/api/docs", "/redoc", "/api/redoc"])
async def test_a18_pages_load_everything_from_here(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path)
    assert page.status_code == 200
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) >= 3
    for asset in assets:
        answer = await client.get(asset)
        assert answer.status_code == 200, asset
        assert answer.content, asset
    assert 'data-document="/openapi.json"' in page.text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_pages_have_a_strict_policy_and_no_inline_script(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path)
    (policy,) = page.headers.get_list("Content-Security-Policy")
    assert "script-src 'self';" in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert re.search(r"<script(?![^>]*\ssrc=)", page.text) is None
    assert " on" + "load=" not in page.text


async def test_other_files_are_not_given_out(client: httpx.AsyncClient) -> None:
    for name in ("..%2f__init__.py", "core.py", "pages.py"):
        assert (await client.get(f"/docs/assets/{name}")).status_code == 404


async def test_limited_operations_name_the_headers_that_tell_of_it(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        is_limited = " /api/" in name and " /api/v1/health" not in name
        assert ("429" in operation["responses"]) == is_limited, name
        for status, response in operation["responses"].items():
            headers = response.get("headers", {})
            assert ("RateLimit-Remaining" in headers) == is_limited, (name, status)
            if status == "429":
                assert "Retry-After" in headers, name
    assert "RateLimit-Policy" in document["components"]["headers"]
