"""The application as a whole (L1, L3, L8, T13)."""

import importlib
import json
from pathlib import Path

import pytest
from fastapi import Request
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import schemas
from app.core import config
from app.core.config import AppSettings
from app.main import create_app
from app.services.health.details import pool_use
from tests.configuration import make_settings
from tests.serving import NOBODY, serve

ROOMS = ["app.api", "app.api.v1", "app.core", "app.middleware", "app.schemas", "app.exceptions"]


@pytest.mark.parametrize("room", ROOMS)
def test_l1_rooms_can_be_imported(room: str) -> None:
    assert importlib.import_module(room).__doc__


def test_l8_schemas_are_importable_by_name() -> None:
    for name in (
        "BaseSchema",
        "TimestampSchema",
        "PaginatedResponse",
        "ErrorResponse",
        "HealthResponse",
        "ReadinessResponse",
    ):
        assert name in schemas.__all__


def test_l8_paginated_response_is_generic() -> None:
    page = schemas.PaginatedResponse[int](items=[1], total=1, page=1, page_size=20)
    assert page.model_dump() == {"items": [1], "total": 1, "page": 1, "page_size": 20}


async def test_l3_the_lifespan_opens_and_closes_database_and_redis(settings: AppSettings) -> None:
    app = create_app(settings)
    opened: dict[str, object] = {}

    @app.get("/state")
    async def state(request: Request) -> None:
        opened.update(request.scope["state"])

    async with serve(settings, app=app) as http:
        await http.get("/state")
        engine, redis = opened["engine"], opened["redis"]
        assert isinstance(engine, AsyncEngine)
        assert isinstance(redis, Redis)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        await redis.ping()
        assert pool_use(engine).idle == 1
        assert redis.connection_pool.can_get_connection()
    assert pool_use(engine).idle == 0


async def test_it_starts_without_postgresql_and_redis(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, f"postgresql://nobody@{NOBODY}/none", f"redis://{NOBODY}")
    async with serve(settings) as http:
        assert (await http.get("/api/v1/ping")).status_code == 200


async def test_pools_that_do_not_fit_the_server_are_an_error_in_the_log(
    settings: AppSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    greedy = make_settings(tmp_path, database, redis, DATABASE_POOL_SIZE="500")
    async with serve(greedy):
        pass
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    told = next(line for line in lines if line["message"] == "pools_too_large")
    assert told["level"] == "ERROR"
    assert "DATABASE_POOL_SIZE" in told["problem"]


def test_the_environments_settings_are_taken_where_none_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(
        tmp_path, f"postgresql://nobody@{NOBODY}/none", f"redis://{NOBODY}", APP_NAME="Anchor"
    )
    monkeypatch.setitem(vars(config), "settings", settings)
    assert create_app().title == "Anchor"
