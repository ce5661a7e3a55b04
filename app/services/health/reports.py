"""What the answers of all parts amount to, as payloads."""

from datetime import UTC, datetime

from app.core.config import AppSettings
from app.schemas.health import (
    CheckResponse,
    DetailedCheckResponse,
    DetailedHealthResponse,
    HealthResponse,
    HeartbeatResponse,
    ReadinessResponse,
)
from app.services.health.checks import Check
from app.services.health.details import age_of, disk_use, supervised_processes
from app.services.health.probes import Findings, Health


async def overall(health: Health, settings: AppSettings) -> HealthResponse:
    """The public report: one word a part, no error texts, no versions of servers."""
    findings = await health.findings()
    return HealthResponse(
        status=findings.status,
        service=settings.app_name,
        version=settings.app_version,
        timestamp=datetime.now(UTC),
        checks={
            name: CheckResponse(status=check.status, reason=check.reason)
            for name, check in findings.checks.items()
        },
    )


async def readiness(health: Health) -> ReadinessResponse:
    """Whether requests should come to this process."""
    found = await health.readiness()
    return ReadinessResponse(
        status="ready" if found.is_ready else "not_ready",
        database=found.database.status,
        redis=found.redis.status,
        migrations=found.migrations.status,
        reasons=found.reasons,
    )


async def detailed(health: Health, settings: AppSettings) -> DetailedHealthResponse:
    """The operator's report."""
    findings = await health.findings()
    parts = findings.checks | {"migrations": findings.migrations}
    return DetailedHealthResponse(
        status=findings.status,
        service=settings.app_name,
        version=settings.app_version,
        timestamp=datetime.now(UTC),
        checks={name: _detailed(check) for name, check in parts.items()},
        pool=health.pool_use(),
        queues=await health.queue_depths(),
        heartbeats=_heartbeats(findings),
        processes=supervised_processes(settings.run_dir),
        disk=disk_use(settings),
        storage=await health.storage_report(),
    )


def _detailed(check: Check) -> DetailedCheckResponse:
    duration = round(check.seconds * 1000, 3)
    return DetailedCheckResponse(
        status=check.status, reason=check.reason, duration_ms=duration, error=check.error
    )


def _heartbeats(findings: Findings) -> list[HeartbeatResponse]:
    return [
        HeartbeatResponse(
            name=heartbeat.name,
            kind=heartbeat.kind,
            completed_at=heartbeat.completed_at,
            age_seconds=age_of(heartbeat.completed_at),
        )
        for heartbeat in findings.heartbeats
    ]
