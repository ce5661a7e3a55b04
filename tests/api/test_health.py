"""The health paths, with everything there and with parts away (A3, A12, A15, L4, P2, V6, C5)."""

import asyncio
import json
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import redis as blocking
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import AppSettings
from app.core.database import Sessions
from app.core.drain import Drain
from app.main import create_app
from app.models.job import Job
from app.services.health import checks
from app.services.heartbeats import BEAT, WORKER, write_heartbeat
from tests.accounts import ADMIN, OWNER, bearer
from tests.configuration import make_settings
from tests.servers import DEADLINE
from tests.serving import NOBODY, Cable, serve

READY_PATHS = ["/health/ready", "/ready", "/api/ready", "/api/v1/health/ready"]
OVERALL_PATHS = ["/health", "/api/health"]
LIVE_PATHS = ["/health/live", "/api/v1/health"]


@pytest.fixture
def without_redis(settings: AppSettings, tmp_path: Path) -> AppSettings:
    return make_settings(tmp_path, settings.database.url.get_secret_value(), f"redis://{NOBODY}/0")


@pytest.fixture
def without_database(redis_url: str, tmp_path: Path) -> AppSettings:
    return make_settings(tmp_path, f"postgresql://nobody@{NOBODY}/none", redis_url)


@pytest.fixture
def cycles(settings: AppSettings) -> Callable[..., None]:
    """Writes heartbeats as workers and beats do."""

    def write(*kinds: str) -> None:
        with blocking.Redis.from_url(settings.redis.url.get_secret_value()) as client:
            client.flushdb()
            for kind in kinds:
                write_heartbeat(client, kind, f"{kind}@test")

    return write


@pytest.mark.parametrize("path", OVERALL_PATHS)
async def test_a15_all_parts_there_is_healthy(
    client: httpx.AsyncClient, cycles: Callable[..., None], path: str
) -> None:
    cycles(WORKER, BEAT)
    answer = await client.get(path)
    body = answer.json()
    assert answer.status_code == 200
    assert body["status"] == "healthy"
    assert set(body) == {"status", "service", "version", "timestamp", "checks"}
    assert {name: check["status"] for name, check in body["checks"].items()} == dict.fromkeys(
        ("api", "database", "redis", "celery", "beat", "workspace"), "healthy"
    )


async def test_a15_without_workers_it_is_degraded(
    client: httpx.AsyncClient, cycles: Callable[..., None]
) -> None:
    cycles(BEAT)
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["celery"] == {"status": "degraded", "reason": "absent"}


@pytest.mark.parametrize("path", OVERALL_PATHS)
async def test_p2_without_a_database_it_is_unhealthy(without_database: AppSettings, path: str) -> None:
    async with serve(without_database) as http:
        answer = await http.get(path)
    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"
    assert answer.json()["checks"]["database"] == {"status": "unhealthy", "reason": "unreachable"}


async def test_without_redis_it_is_degraded(without_redis: AppSettings) -> None:
    async with serve(without_redis) as http:
        answer = await http.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["redis"]["status"] == "unhealthy"
    assert answer.json()["checks"]["celery"]["reason"] == "unknown"


async def test_the_public_report_holds_no_error_text(without_database: AppSettings) -> None:
    async with serve(without_database) as http:
        answer = await http.get("/health")
    assert NOBODY.split(":", maxsplit=1)[0] not in answer.text
    assert "psycopg" not in answer.text


@pytest.mark.parametrize("path", READY_PATHS)
async def test_l4_ready_names_database_and_redis(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "database": "healthy",
        "redis": "healthy",
        "migrations": "healthy",
        "reasons": [],
    }


@pytest.mark.parametrize("path", [*READY_PATHS, *OVERALL_PATHS, *LIVE_PATHS])
async def test_head_is_answered_like_get(without_database: AppSettings, path: str) -> None:
    async with serve(without_database) as http:
        head, got = await http.head(path), await http.get(path)
    assert head.status_code == got.status_code == (200 if path in LIVE_PATHS else 503)
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


async def test_head_is_not_in_the_document(settings: AppSettings) -> None:
    paths = create_app(settings).openapi()["paths"]
    assert set(paths["/health/ready"]) == {"get"}


@pytest.mark.parametrize("path", READY_PATHS)
async def test_l4_not_ready_without_redis(without_redis: AppSettings, path: str) -> None:
    async with serve(without_redis) as http:
        answer = await http.get(path)
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["redis"]


@pytest.mark.parametrize("path", READY_PATHS)
async def test_l4_p2_not_ready_without_a_database(without_database: AppSettings, path: str) -> None:
    async with serve(without_database) as http:
        answer = await http.get(path)
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["database", "migrations"]


async def test_not_ready_while_migrations_are_pending(client: httpx.AsyncClient, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["migrations"]


async def test_ready_where_a_newer_version_has_migrated_already(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    assert (await client.get("/health/ready")).status_code == 200


async def test_not_ready_before_the_first_migration(client: httpx.AsyncClient, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE alembic_version"))
    answer = await client.get("/health/ready")
    assert answer.json()["reasons"] == ["migrations"]
    assert answer.json()["database"] == "healthy"


async def test_not_ready_while_draining(settings: AppSettings) -> None:
    drain = Drain()
    async with serve(settings, drain=drain) as http:
        assert (await http.get("/health/ready")).status_code == 200
        drain.start()
        answer = await http.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["draining"]


async def test_not_ready_once_a_program_is_fatal(settings: AppSettings, client: httpx.AsyncClient) -> None:
    (settings.run_dir / "fatal").write_text("{}")
    answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["fatal"]


async def test_live_and_version_health_need_nothing(without_database: AppSettings) -> None:
    async with serve(without_database) as http:
        for path in LIVE_PATHS:
            answer = await http.get(path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a12_a_missing_workspace_is_told(settings: AppSettings, redis_url: str, tmp_path: Path) -> None:
    address = settings.database.url.get_secret_value()
    missing = make_settings(tmp_path, address, redis_url, WORKSPACE_ROOT=str(tmp_path / "none"))
    async with serve(missing) as http:
        answer = await http.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["workspace"] == {"status": "unhealthy", "reason": "missing"}


async def test_a12_a_full_workspace_is_told(settings: AppSettings, redis_url: str, tmp_path: Path) -> None:
    address = settings.database.url.get_secret_value()
    full = make_settings(tmp_path, address, redis_url, WORKSPACE_MINIMUM_FREE=str(2**60))
    async with serve(full) as http:
        answer = await http.get("/health")
    assert answer.json()["checks"]["workspace"]["reason"] == "full"


async def test_v6_detailed_tells_an_operator_what_he_asks_first(
    settings: AppSettings, admin_client: httpx.AsyncClient, cycles: Callable[..., None], sessions: Sessions
) -> None:
    cycles(WORKER)
    async with sessions.begin() as session:
        session.add(Job(id=uuid.uuid4(), owner_id=OWNER, kind="k", queue="default", args={}))
    row = {"name": "api-0", "program": "api", "state": "RUNNING", "pid": 7, "restarts": 2}
    row["started_at"] = "2026-01-01T00:00:00.000Z"
    (settings.run_dir / "processes.json").write_text(json.dumps({"processes": [row]}))

    body = (await admin_client.get("/health/detailed")).json()

    assert body["checks"]["database"]["duration_ms"] > 0
    assert body["pool"]["size"] == settings.database.pool_size
    assert body["queues"] == [{"queue": "default", "due": 1, "queued": 1, "retrying": 0, "running": 0}]
    assert body["heartbeats"][0]["kind"] == WORKER
    assert body["processes"][0]["restarts"] == 2
    assert body["processes"][0]["uptime_seconds"] > 0
    assert body["disk"]["free"] > 0


async def test_detailed_says_why_where_a_part_is_away(settings: AppSettings, tmp_path: Path) -> None:
    database = settings.database.url.get_secret_value()
    without = make_settings(tmp_path, database, f"redis://{NOBODY}/0")
    async with serve(without, headers=bearer(without, ADMIN)) as http:
        body = (await http.get("/health/detailed")).json()
    assert "failed" in body["checks"]["redis"]["error"]
    assert body["processes"] == []


async def test_a_database_that_is_away_is_told_to_who_was_let_in_before(
    settings: AppSettings, redis_url: str, tmp_path: Path
) -> None:
    address = settings.database.url.get_secret_value()
    cable = Cable(address)
    await cable.mend()
    remembering = make_settings(tmp_path, cable.through(address), redis_url, REVOCATION_SECONDS="60")
    async with serve(remembering, headers=bearer(remembering, ADMIN)) as http:
        assert (await http.get("/health/detailed")).json()["queues"] == []
        await cable.cut()
        await until(http, "/health/ready", 503)
        async with asyncio.timeout(DEADLINE):
            while (body := (await http.get("/health/detailed")).json())["queues"] is not None:
                await asyncio.sleep(0.05)
    assert "refused" in body["checks"]["database"]["error"]


async def test_detailed_wants_a_credential(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/health/detailed")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


async def test_detailed_is_for_administrators(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/detailed")
    assert answer.status_code == 403
    assert answer.json()["error"]["details"] == {"missing_scopes": ["system:read"]}


async def until(http: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    async with asyncio.timeout(DEADLINE):
        while (answer := await http.get(path)).status_code != status:
            await asyncio.sleep(0.05)
    return answer


async def test_a_lost_database_is_told_and_its_return_too(
    settings: AppSettings, redis_url: str, tmp_path: Path
) -> None:
    address = settings.database.url.get_secret_value()
    cable = Cable(address)
    await cable.mend()
    async with serve(make_settings(tmp_path, cable.through(address), redis_url)) as http:
        await until(http, "/health/ready", 200)
        await cable.cut()
        away = await until(http, "/health/ready", 503)
        assert away.json()["reasons"] == ["database", "migrations"]
        await cable.mend()
        await until(http, "/health/ready", 200)
    await cable.cut()


async def test_a_lost_redis_is_told_and_its_return_too(
    settings: AppSettings, redis_url: str, tmp_path: Path
) -> None:
    cable = Cable(redis_url)
    await cable.mend()
    address = settings.database.url.get_secret_value()
    async with serve(make_settings(tmp_path, address, cable.through(redis_url))) as http:
        await until(http, "/health/ready", 200)
        await cable.cut()
        assert (await until(http, "/health/ready", 503)).json()["reasons"] == ["redis"]
        await cable.mend()
        await until(http, "/health/ready", 200)
    await cable.cut()


async def test_a_silent_database_is_away_too(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes connections and says nothing must not hold a probe."""
    monkeypatch.setattr(checks, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        # The start looks at the database too.
        silent_to = make_settings(tmp_path, address, redis_url, DATABASE_CONNECT_TIMEOUT="1")
        async with serve(silent_to) as http:
            answer = await http.get("/health")
    assert answer.json()["checks"]["database"] == {"status": "unhealthy", "reason": "timeout"}
