"""The workers and their queue."""

from typing import Annotated

from pydantic import Field, PositiveInt

from app.core.config.fields import Env, Group, RedisUrl, TextList
from app.core.config.groups.units import Seconds


class CelerySettings(Group):
    """The worker, its broker and its limits."""

    broker_url: Annotated[RedisUrl | None, Env("CELERY_BROKER_URL")] = Field(
        None, description="a Redis address; REDIS_URL where it is not set"
    )
    result_backend: Annotated[RedisUrl | None, Env("CELERY_RESULT_BACKEND")] = Field(
        None, description="a Redis address; none where it is not set, for results are rows"
    )
    worker_concurrency: Annotated[int, Env("WORKER_CONCURRENCY", "CELERY_WORKER_CONCURRENCY")] = Field(
        2, ge=1, le=256, description="a number of worker children from 1 to 256"
    )
    soft_time_limit: Annotated[PositiveInt, Env("CELERY_TASK_SOFT_TIME_LIMIT")] = Field(
        1500, description="seconds after which a job is asked to end"
    )
    time_limit: Annotated[PositiveInt, Env("CELERY_TASK_TIME_LIMIT")] = Field(
        1800, description="seconds after which a job is killed"
    )
    visibility_timeout: Annotated[PositiveInt, Env("CELERY_VISIBILITY_TIMEOUT")] = Field(
        3600, description="seconds, longer than the longest task"
    )


class JobSettings(Group):
    """The durable queue in PostgreSQL."""

    max_attempts: Annotated[int, Env("JOB_MAX_ATTEMPTS")] = Field(
        5, ge=1, le=100, description="a number of attempts from 1 to 100"
    )
    lease_seconds: Annotated[float, Env("JOB_LEASE_SECONDS")] = Field(
        12.0, ge=3, le=300, description="seconds from 3 to 300 that a claim holds without a heartbeat"
    )
    sweep_seconds: Annotated[float, Env("JOB_SWEEP_SECONDS")] = Field(
        4.0, ge=0.5, le=60, description="seconds from 0.5 to 60 between two sweeps"
    )
    cancel_grace: Annotated[float, Env("JOB_CANCEL_GRACE")] = Field(
        10.0, ge=0, le=300, description="seconds from 0 to 300 until a cancelled job is killed"
    )
    events_heartbeat: Annotated[Seconds, Env("JOB_EVENTS_HEARTBEAT")] = Field(
        15.0, le=300, description="seconds, at most 300, of silence in a stream of events before a comment"
    )
    events_seconds: Annotated[Seconds, Env("JOB_EVENTS_SECONDS")] = Field(
        3600.0, description="seconds after which a stream of events ends and its client connects anew"
    )
    events_streams: Annotated[PositiveInt, Env("JOB_EVENTS_STREAMS")] = Field(
        50, description="streams of events that an account may have open in one process"
    )
    modules: Annotated[TextList, Env("JOB_MODULES")] = Field(
        (), description="modules with kinds of jobs of your own, as a JSON list or separated by commas"
    )
    retention_days: Annotated[PositiveInt, Env("JOB_RETENTION_DAYS")] = Field(
        30, description="days that ended jobs are kept"
    )
