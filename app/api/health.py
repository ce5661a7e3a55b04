"""The health paths that probes ask, without a version, and the same under the paths of older systems."""

from typing import Any, Final

from fastapi import APIRouter, Response, status

from app.api.credentials import SystemReader
from app.api.deps import HealthDep, SettingsDep
from app.schemas.health import (
    DetailedHealthResponse,
    HealthResponse,
    HealthStatus,
    OkResponse,
    ReadinessResponse,
)
from app.services import health as service

router = APIRouter(tags=["health"])

UNHEALTHY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": HealthResponse, "description": "Unhealthy: the database is away."}
}
UNREADY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": ReadinessResponse, "description": "Not to be sent requests now; the body says why."}
}


@router.get("/health/live", summary="Is this process serving?")
async def live() -> OkResponse:
    """Answers while the process serves, and touches nothing."""
    return OkResponse()


@router.get("/health/ready", summary="Should requests come here?", responses=UNREADY)
@router.get("/ready", include_in_schema=False)
@router.get("/api/ready", include_in_schema=False)
async def ready(health: HealthDep, response: Response) -> ReadinessResponse:
    """503 while PostgreSQL or Redis is away, migrations are missing, or the process is about to stop."""
    report = await service.readiness(health)
    if report.status != "ready":
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return report


@router.get("/health", summary="How is this system?", responses=UNHEALTHY)
@router.get("/api/health", include_in_schema=False)
async def overall(health: HealthDep, settings: SettingsDep, response: Response) -> HealthResponse:
    """``degraded`` where a part but not the database is away; 503 and ``unhealthy`` without the database."""
    report = await service.overall(health, settings)
    if report.status is HealthStatus.UNHEALTHY:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return report


@router.get("/health/detailed", summary="What does an operator ask first?")
async def detailed(_: SystemReader, health: HealthDep, settings: SettingsDep) -> DetailedHealthResponse:
    """Latencies, pool, queues, the last cycles of workers and beat, supervised processes, disk."""
    return await service.detailed(health, settings)


# Probes ask with HEAD too. Routes of their own keep it out of the OpenAPI document, where a route of two
# methods would give one operation id twice; the paths of the version are here so that all stand together.
for _path in ("/health/live", "/api/v1/health"):
    router.add_api_route(_path, live, methods=["HEAD"], include_in_schema=False)
for _path in ("/health/ready", "/ready", "/api/ready", "/api/v1/health/ready"):
    router.add_api_route(_path, ready, methods=["HEAD"], include_in_schema=False)
for _path in ("/health", "/api/health"):
    router.add_api_route(_path, overall, methods=["HEAD"], include_in_schema=False)
