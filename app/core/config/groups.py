"""The groups of settings: each field with its variables, its default and what it expects."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    EmailStr,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
)

from app.core.config.fields import (
    Env,
    Group,
    OptionalSecret,
    OptionalText,
    PostgresUrl,
    RedisUrl,
    Role,
    TextList,
)

Seconds = PositiveFloat
Bytes = PositiveInt
MIB = 1024 * 1024


class ServerSettings(Group):
    """The listening socket, the processes behind it, and how they stop."""

    host: Annotated[str, Env("HOST")] = Field("127.0.0.1", description="an address to listen on")
    port: Annotated[int, Env("PORT")] = Field(8000, ge=1, le=65535, description="a port from 1 to 65535")
    api_processes: Annotated[int, Env("API_PROCESSES", "WEB_CONCURRENCY")] = Field(
        2, ge=1, le=64, description="a number of processes from 1 to 64"
    )
    role: Annotated[Role, Env("ROLE")] = Field(Role.ALL, description="all, api, worker or beat")
    shutdown_timeout: Annotated[int, Env("SHUTDOWN_TIMEOUT")] = Field(
        30, ge=10, le=3600, description="seconds from 10 to 3600 in which everything has stopped"
    )
    drain_delay: Annotated[NonNegativeFloat, Env("DRAIN_DELAY")] = Field(
        1.0, le=60, description="seconds from 0 to 60 for load balancers to notice a draining process"
    )
    fatal_grace: Annotated[NonNegativeFloat, Env("FATAL_GRACE")] = Field(
        3.0, le=60, description="seconds from 0 to 60 between a FATAL program and the end of the stack"
    )
    watchdog_timeout: Annotated[Seconds, Env("WATCHDOG_TIMEOUT")] = Field(
        30.0, ge=5, description="seconds, 5 or more, without a completed cycle until a program is restarted"
    )
    keep_alive_timeout: Annotated[Seconds, Env("KEEP_ALIVE_TIMEOUT")] = Field(
        75.0, description="seconds that an idle connection is kept"
    )
    max_body_size: Annotated[Bytes, Env("MAX_BODY_SIZE")] = Field(
        MIB, description="bytes of a request body other than an upload"
    )
    max_header_size: Annotated[Bytes, Env("MAX_HEADER_SIZE")] = Field(
        16 * 1024, description="bytes of all headers of a request"
    )
    body_timeout: Annotated[Seconds, Env("BODY_TIMEOUT")] = Field(
        30.0, description="seconds without a byte of the body until the request is refused"
    )
    body_minimum_rate: Annotated[PositiveInt, Env("BODY_MINIMUM_RATE")] = Field(
        1024, description="bytes per second that a sender must reach after the first seconds"
    )
    trusted_hosts: Annotated[TextList, Env("TRUSTED_HOSTS", "ALLOWED_HOSTS")] = Field(
        ("*",), description="host names, as a JSON list or separated by commas"
    )
    trusted_proxies: Annotated[TextList, Env("TRUSTED_PROXIES")] = Field(
        (), description="addresses or networks of proxies, as a JSON list or separated by commas"
    )
    cors_origins: Annotated[TextList, Env("CORS_ORIGINS", "ALLOWED_ORIGINS")] = Field(
        ("http://localhost:3000",), description="origins, as a JSON list or separated by commas"
    )
    cors_allow_credentials: Annotated[bool, Env("CORS_ALLOW_CREDENTIALS")] = Field(
        default=True, description="true or false"
    )
    metrics_token: Annotated[OptionalSecret, Env("METRICS_TOKEN")] = Field(
        None, description="a bearer token that /metrics asks for; without it only loopback is answered"
    )


class DatabaseSettings(Group):
    """PostgreSQL and the pool of each process."""

    url: Annotated[PostgresUrl, Env("DATABASE_URL")] = Field(
        description="a PostgreSQL address such as postgresql://USER:PASSWORD@HOST:5432/NAME, or `make up`"
    )
    pool_size: Annotated[PositiveInt, Env("DATABASE_POOL_SIZE", "DB_POOL_SIZE")] = Field(
        20, le=500, description="connections of an API process, 1 to 500"
    )
    max_overflow: Annotated[int, Env("DATABASE_MAX_OVERFLOW", "DB_MAX_OVERFLOW")] = Field(
        0, ge=0, le=500, description="connections beyond the pool, 0 to 500"
    )
    worker_pool_size: Annotated[PositiveInt, Env("DATABASE_WORKER_POOL_SIZE")] = Field(
        3, le=100, description="connections of a worker process, 1 to 100"
    )
    pool_timeout: Annotated[Seconds, Env("DATABASE_POOL_TIMEOUT")] = Field(
        3.0, description="seconds to wait for a free connection"
    )
    connect_timeout: Annotated[PositiveInt, Env("DATABASE_CONNECT_TIMEOUT")] = Field(
        3, description="whole seconds to wait for the server"
    )
    statement_timeout: Annotated[Seconds, Env("DATABASE_STATEMENT_TIMEOUT")] = Field(
        15.0, description="seconds that one statement may take"
    )
    idle_in_transaction_timeout: Annotated[Seconds, Env("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT")] = Field(
        30.0, description="seconds that a transaction may stay idle"
    )
    lock_timeout: Annotated[Seconds, Env("DATABASE_MIGRATION_LOCK_TIMEOUT")] = Field(
        5.0, description="seconds that a migration waits for a lock before it tries again"
    )


class RedisSettings(Group):
    """Redis: the broker's doorbell, heartbeats and limits; nothing that may not be lost."""

    url: Annotated[RedisUrl, Env("REDIS_URL")] = Field(
        description="a Redis address such as redis://:PASSWORD@HOST:6379/0, or `make up`"
    )
    timeout: Annotated[Seconds, Env("REDIS_TIMEOUT")] = Field(
        1.0, description="seconds that one command or connection of the API may take"
    )


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
    modules: Annotated[TextList, Env("JOB_MODULES")] = Field(
        (), description="modules with kinds of jobs of your own, as a JSON list or separated by commas"
    )
    retention_days: Annotated[PositiveInt, Env("JOB_RETENTION_DAYS")] = Field(
        30, description="days that ended jobs are kept"
    )


class AuthSettings(Group):
    """Accounts: what signs tokens, how long things hold, and what a password costs."""

    secret_key: Annotated[OptionalSecret, Env("SECRET_KEY", "JWT_SECRET_KEY", "JWT_SECRET")] = Field(
        None, description="at least 32 random characters, e.g. from `openssl rand -base64 48`"
    )
    secret_key_previous: Annotated[OptionalSecret, Env("SECRET_KEY_PREVIOUS")] = Field(
        None, description="the SECRET_KEY before this one, so that its tokens hold until they expire"
    )
    issuer: Annotated[str, Env("AUTH_ISSUER")] = Field(
        "holdfast", min_length=1, description="the name in `iss` of tokens"
    )
    audience: Annotated[str, Env("AUTH_AUDIENCE")] = Field(
        "holdfast-api", min_length=1, description="the name in `aud` of tokens"
    )
    access_token_seconds: Annotated[PositiveInt, Env("ACCESS_TOKEN_SECONDS")] = Field(
        900, le=86400, description="seconds that an access token holds, at most 86400"
    )
    session_days: Annotated[PositiveInt, Env("SESSION_DAYS")] = Field(
        30, le=3650, description="days without a refresh after which a session ends"
    )
    refresh_grace: Annotated[NonNegativeFloat, Env("REFRESH_GRACE")] = Field(
        10.0, le=60, description="seconds from 0 to 60 in which a replaced refresh token is no theft"
    )
    revocation_seconds: Annotated[NonNegativeFloat, Env("REVOCATION_SECONDS")] = Field(
        2.0, le=60, description="seconds from 0 to 60 until a revoked session's access tokens end"
    )
    mail_token_seconds: Annotated[PositiveInt, Env("MAIL_TOKEN_SECONDS")] = Field(
        3600, le=604800, description="seconds that a link in a mail holds"
    )
    registration: Annotated[bool, Env("REGISTRATION_ENABLED")] = Field(
        default=True, description="true or false: whether people may register themselves"
    )
    first_admin_email: Annotated[EmailStr, AfterValidator(str.lower), Env("FIRST_ADMIN_EMAIL")] = Field(
        "admin@localhost.localdomain",
        max_length=320,
        description="the e-mail address of the administrator that the first start makes",
    )
    password_memory: Annotated[int, Env("PASSWORD_HASH_MEMORY")] = Field(
        65536, ge=1024, le=4194304, description="KiB of memory of one Argon2id hash"
    )
    password_passes: Annotated[int, Env("PASSWORD_HASH_PASSES")] = Field(
        3, ge=1, le=100, description="passes of one Argon2id hash"
    )


class EmailSettings(Group):
    """SMTP. Off until SMTP_HOST is set."""

    smtp_host: Annotated[OptionalText, Env("SMTP_HOST")] = Field(None, description="the mail server's name")
    smtp_port: Annotated[int, Env("SMTP_PORT")] = Field(587, ge=1, le=65535, description="a port")
    smtp_user: Annotated[OptionalText, Env("SMTP_USER", "SMTP_USERNAME")] = Field(
        None, description="a user name, together with SMTP_PASSWORD"
    )
    smtp_password: Annotated[OptionalSecret, Env("SMTP_PASSWORD")] = Field(
        None, description="a password, together with SMTP_USER"
    )
    smtp_tls: Annotated[Literal["starttls", "tls", "none"], Env("SMTP_TLS")] = Field(
        "starttls", description="starttls, tls or none"
    )
    sender: Annotated[OptionalText, Env("EMAIL_FROM", "EMAILS_FROM_EMAIL")] = Field(
        None, description="the address that mail comes from"
    )


class LoggingSettings(Group):
    """One JSON object a line on standard output."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Env("LOG_LEVEL")] = Field(
        "INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL"
    )


class MediaSettings(Group):
    """The workspace, its limits, and the tools that read what strangers upload."""

    workspace_root: Annotated[Path | None, Env("WORKSPACE_ROOT")] = Field(
        None, description="a folder that can be written; STATE_DIR/workspace where it is not set"
    )
    max_upload_size: Annotated[Bytes, Env("MAX_UPLOAD_SIZE")] = Field(
        2 * 1024 * MIB, description="bytes of one uploaded file"
    )
    upload_dir: Annotated[Path | None, Env("UPLOAD_DIR")] = Field(
        None, description="a folder on the workspace's file system; WORKSPACE_ROOT/uploads where not set"
    )
    temp_dir: Annotated[Path | None, Env("TEMP_DIR")] = Field(
        None, description="a folder for work files; WORKSPACE_ROOT/tmp where it is not set"
    )
    ffmpeg: Annotated[OptionalText, Env("FFMPEG_PATH")] = Field(
        None, description="the path of ffmpeg; looked for where it is not set"
    )
    ffprobe: Annotated[OptionalText, Env("FFPROBE_PATH")] = Field(
        None, description="the path of ffprobe; looked for where it is not set"
    )
    tool_timeout: Annotated[Seconds, Env("MEDIA_TOOL_TIMEOUT")] = Field(
        300.0, description="seconds that one run of ffmpeg or ffprobe may take"
    )
    tool_memory: Annotated[Bytes, Env("MEDIA_TOOL_MEMORY")] = Field(
        2 * 1024 * MIB, description="bytes of address space of one run of ffmpeg or ffprobe"
    )
    minimum_free: Annotated[int, Env("WORKSPACE_MINIMUM_FREE")] = Field(
        256 * MIB, ge=0, description="bytes that must stay free on the workspace"
    )


_LIMIT: Final = r"^[1-9]\d{0,8}/(second|minute|hour|day)$"


class RateLimitSettings(Group):
    """Requests per window, per address, account and key."""

    enabled: Annotated[bool, Env("RATE_LIMIT_ENABLED")] = Field(default=True, description="true or false")
    default: Annotated[str, Env("RATE_LIMIT_DEFAULT")] = Field(
        "300/minute", pattern=_LIMIT, description="a limit per address, such as 300/minute"
    )
    account: Annotated[str, Env("RATE_LIMIT_ACCOUNT")] = Field(
        "1200/minute", pattern=_LIMIT, description="a limit per account or API key, such as 1200/minute"
    )
    login: Annotated[str, Env("RATE_LIMIT_LOGIN")] = Field(
        "10/minute", pattern=_LIMIT, description="a limit of bad logins per address, such as 10/minute"
    )
    registration: Annotated[str, Env("RATE_LIMIT_REGISTER")] = Field(
        "10/hour", pattern=_LIMIT, description="a limit of registrations per address, such as 10/hour"
    )
    reset: Annotated[str, Env("RATE_LIMIT_RESET")] = Field(
        "10/hour", pattern=_LIMIT, description="a limit of mails asked for per address, such as 10/hour"
    )
    patience: Annotated[Seconds, Env("RATE_LIMIT_PATIENCE")] = Field(
        0.05, le=10, description="seconds to wait for Redis, at most 10, before a process counts alone"
    )
    idempotency_hours: Annotated[PositiveInt, Env("IDEMPOTENCY_HOURS")] = Field(
        24, le=720, description="hours that the answer to an Idempotency-Key is kept"
    )


class LiveKitSettings(Group):
    """LiveKit. Off until its variables are set, all three together."""

    url: Annotated[OptionalText, Env("LIVEKIT_URL")] = Field(
        None, pattern=r"^wss?://", description="the server's address, ws:// or wss://"
    )
    api_key: Annotated[OptionalText, Env("LIVEKIT_API_KEY")] = Field(None, description="the key's name")
    api_secret: Annotated[OptionalSecret, Env("LIVEKIT_API_SECRET")] = Field(
        None, description="the key's secret"
    )


class StorageSettings(Group):
    """S3-compatible storage and Replicate. Each off until its variables are set."""

    s3_bucket: Annotated[OptionalText, Env("S3_BUCKET", "AWS_S3_BUCKET", "S3_BUCKET_NAME")] = Field(
        None, description="the bucket's name"
    )
    s3_access_key: Annotated[OptionalText, Env("S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID")] = Field(
        None, description="the key's id"
    )
    s3_secret_key: Annotated[OptionalSecret, Env("S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY")] = Field(
        None, description="the key's secret"
    )
    s3_endpoint: Annotated[OptionalText, Env("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL")] = Field(
        None, pattern=r"^https?://", description="an address, where the storage is not AWS's own"
    )
    s3_region: Annotated[str, Env("S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")] = Field(
        "us-east-1", description="a region"
    )
    replicate_token: Annotated[OptionalSecret, Env("REPLICATE_API_TOKEN", "REPLICATE_API_KEY")] = Field(
        None, description="a Replicate token"
    )


class SearchSettings(Group):
    """Semantic search. Off until the embeddings endpoint is set."""

    embeddings_url: Annotated[OptionalText, Env("EMBEDDINGS_URL")] = Field(
        None, pattern=r"^https?://", description="an OpenAI-compatible endpoint"
    )
    embeddings_key: Annotated[OptionalSecret, Env("EMBEDDINGS_API_KEY")] = Field(
        None, description="its bearer token"
    )
    embeddings_model: Annotated[str, Env("EMBEDDINGS_MODEL")] = Field(
        "text-embedding-3-small", description="the model's name"
    )


def secret_text(value: SecretStr | None) -> str:
    """The text of a secret, empty where there is none."""
    return value.get_secret_value() if value else ""
