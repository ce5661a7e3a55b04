"""What routes ask for."""

import uuid

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.deps import OwnerDep, PageDep, SessionDep
from app.core.config import AppSettings
from app.exceptions import ConflictException
from app.main import create_app
from app.models.user import User
from tests.accounts import OWNER
from tests.serving import serve


def with_routes(app: FastAPI) -> FastAPI:
    @app.get("/owner")
    async def owner(owner_id: OwnerDep) -> uuid.UUID:
        return owner_id

    @app.get("/page")
    async def page(page: PageDep) -> dict[str, int]:
        return {"offset": page.offset, "limit": page.limit}

    @app.post("/users/{name}")
    async def add(session: SessionDep, name: str, fail: bool = False) -> None:
        session.add(User(email=f"{name}@example.org"))
        await session.flush()
        if fail:
            raise ConflictException

    @app.post("/late/{name}")
    async def add_unflushed(session: SessionDep, name: str) -> None:
        session.add(User(email=f"{name}@example.org"))

    return app


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
async def test_the_owner_is_answered_on_loopback(settings: AppSettings, address: str) -> None:
    async with serve(settings, app=with_routes(create_app(settings)), client=address) as http:
        assert (await http.get("/owner")).json() == str(OWNER)


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.1", "testclient", "::ffff:10.0.0.1"])
async def test_nobody_elsewhere_is_the_owner(settings: AppSettings, address: str) -> None:
    async with serve(settings, app=with_routes(create_app(settings)), client=address) as http:
        answer = await http.get("/owner")
    assert answer.status_code == 403
    assert "on the machine itself only" in answer.json()["error"]["message"]


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host"])
async def test_nobody_behind_a_proxy_is_the_owner(settings: AppSettings, header: str) -> None:
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        assert (await http.get("/owner", headers={header: "127.0.0.1"})).status_code == 403


async def test_a_page_of_another_origin_is_not_the_owner(settings: AppSettings) -> None:
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        assert (await http.get("/owner", headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await http.get("/owner", headers={"Origin": "http://localhost"})).status_code == 200
        assert (await http.get("/owner", headers={"Origin": "http://localhost:3000"})).status_code == 200


async def test_a_name_that_somebody_points_at_this_machine_is_not_this_machine(settings: AppSettings) -> None:
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        assert (await http.get("/owner", headers={"Host": "rebound.example"})).status_code == 403
        assert (await http.get("/owner", headers={"Host": "127.0.0.1:8000"})).status_code == 200


async def test_pages_count_from_one(settings: AppSettings) -> None:
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        assert (await http.get("/page?page=3&page_size=10")).json() == {"offset": 20, "limit": 10}
        assert (await http.get("/page")).json() == {"offset": 0, "limit": 20}


@pytest.mark.parametrize("query", ["page=0", "page_size=0", "page_size=101", "page=x", f"page={10**30}"])
async def test_pages_out_of_range_are_refused(settings: AppSettings, query: str) -> None:
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        assert (await http.get(f"/page?{query}")).status_code == 422


async def people(session: AsyncSession, name: str) -> int | None:
    return await session.scalar(select(func.count()).where(User.email == f"{name}@example.org"))


async def test_a_request_commits(settings: AppSettings, session: AsyncSession) -> None:
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        assert (await http.post("/users/anna")).status_code == 200
        assert await people(session, "anna") == 1


async def test_a_failed_request_leaves_nothing(settings: AppSettings, session: AsyncSession) -> None:
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        assert (await http.post("/users/anna?fail=true")).status_code == 409
        assert await people(session, "anna") == 0


async def test_t4_a_commit_that_fails_is_told(settings: AppSettings) -> None:
    """The commit comes before the answer: nobody is told of a write that then fails."""
    async with serve(settings, app=with_routes(create_app(settings))) as http:
        assert (await http.post("/users/anna")).status_code == 200
        assert (await http.post("/late/anna")).status_code == 500


async def test_a_client_that_sends_an_answerable_page_gets_json(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/ping")).headers["Content-Type"] == "application/json"
