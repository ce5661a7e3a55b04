"""What caches are told of answers to requests with a credential."""

import httpx
import pytest

PRIVATE = "private, no-cache"


@pytest.mark.parametrize(
    ("path", "status"), [("/api/v1/users/me", 200), ("/api/v1/admin/users", 403), ("/api/v1/nowhere", 404)]
)
async def test_an_answer_to_a_credential_is_its_clients_alone(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers.get_list("cache-control")) == (status, [PRIVATE])


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": "hfk_wrong"}, {"Cookie": "holdfast_access=wrong"}], ids=["key", "cookie"]
)
async def test_so_is_the_refusal_of_a_wrong_one(
    anonymous: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await anonymous.get("/api/v1/users/me", headers=headers)
    assert (answer.status_code, answer.headers["cache-control"]) == (401, PRIVATE)


async def test_a_copy_that_is_current_stays_the_clients_alone(client: httpx.AsyncClient) -> None:
    tag = (await client.get("/api/v1/users/me")).headers["etag"]
    answer = await client.get("/api/v1/users/me", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.headers["cache-control"]) == (304, PRIVATE)


async def test_a_rule_of_the_route_stays(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["jobs:read"]})
    assert (answer.status_code, answer.headers.get_list("cache-control")) == (201, ["no-store"])
    asset = await client.get("/docs/assets/swagger-ui.css")
    assert asset.headers.get_list("cache-control") == ["public, max-age=3600"]


async def test_what_is_everybodys_has_no_such_rule(anonymous: httpx.AsyncClient) -> None:
    assert "cache-control" not in (await anonymous.get("/api/v1/ping")).headers
