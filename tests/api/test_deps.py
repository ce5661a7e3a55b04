"""What routes ask for."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.deps import PageDep, SessionDep
from app.core.config import AppSettings
from app.exceptions import ConflictException
from app.main import create_app
from app.models.user import User
from tests.serving import serve


def with_routes(app: FastAPI) -> FastAPI:
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
