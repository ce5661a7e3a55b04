"""The listening socket, the limits of what is asked, and the log."""

from typing import Annotated, Final, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from app.core.config.fields import Env, Group, OptionalSecret, Role, TextList
from app.core.config.groups.units import MIB, Bytes, Seconds


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
    preload: Annotated[bool, Env("PRELOAD")] = Field(
        True, description="true or false: load the code of all programs once and let them share its memory"
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


class LoggingSettings(Group):
    """One JSON object a line on standard output."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Env("LOG_LEVEL")] = Field(
        "INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL"
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
