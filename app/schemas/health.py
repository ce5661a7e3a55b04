"""How this system is, for probes and for people."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from app.schemas.base import BaseSchema, Timestamp
from app.schemas.storage import StorageReport


class HealthStatus(StrEnum):
    """``degraded`` serves, but not everything; ``unhealthy`` cannot serve."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class OkResponse(BaseSchema):
    """It answers, which is all that it says."""

    status: Literal["ok"] = "ok"


class CheckResponse(BaseSchema):
    """One part, with one word for what is wrong with it."""

    status: HealthStatus
    reason: str | None = Field(None, examples=["unreachable"])


class HealthResponse(BaseSchema):
    """All parts together."""

    status: HealthStatus
    service: str
    version: str
    timestamp: Timestamp
    checks: dict[str, CheckResponse] = Field(description="api, database, redis, celery, beat, workspace.")


class ReadinessResponse(BaseSchema):
    """Whether this process should be sent requests."""

    status: Literal["ready", "not_ready"]
    database: HealthStatus
    redis: HealthStatus
    migrations: HealthStatus = Field(description="Whether the tables are those that this version expects.")
    reasons: list[str] = Field(description="Why it is not ready.", examples=[["draining"]])


class DetailedCheckResponse(CheckResponse):
    """One part, with how long it took to ask, and the error."""

    duration_ms: float
    error: str | None = None


class PoolResponse(BaseSchema):
    """The database connections of the process that answers."""

    size: int
    in_use: int
    idle: int


class QueueResponse(BaseSchema):
    """The jobs of one queue, counted up to 10001 that wait, first in line first, and 10001 that run."""

    queue: str
    due: int = Field(description="Could start now.")
    queued: int = Field(description="Wait for their first attempt, due or not.")
    retrying: int = Field(description="Wait for another attempt, due or not.")
    running: int


class HeartbeatResponse(BaseSchema):
    """A worker or beat, and the last cycle that it completed."""

    name: str
    kind: str
    completed_at: Timestamp
    age_seconds: float


class ProcessResponse(BaseSchema):
    """A supervised program."""

    name: str
    program: str | None = None
    state: str
    pid: int | None = None
    started_at: Timestamp | None = None
    uptime_seconds: float | None = None
    restarts: int = 0


class ProcessesFile(BaseSchema):
    """What the supervisor writes of its programs."""

    processes: list[ProcessResponse]


class DiskResponse(BaseSchema):
    """The file system of the workspace, in bytes."""

    path: str
    total: int
    free: int
    minimum_free: int


class DetailedHealthResponse(BaseSchema):
    """Everything that an operator asks first."""

    status: HealthStatus
    service: str
    version: str
    timestamp: Timestamp
    checks: dict[str, DetailedCheckResponse]
    pool: PoolResponse
    queues: list[QueueResponse] | None = Field(
        description="Queues with work; null where the database does not tell in time."
    )
    heartbeats: list[HeartbeatResponse]
    processes: list[ProcessResponse]
    disk: DiskResponse | None
    storage: StorageReport | None = Field(description="What the last sweep of the storage found.")
