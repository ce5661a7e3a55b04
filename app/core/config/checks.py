"""Faults that only show when several settings, or what they are for, are seen together."""

import os
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from app.core.commands import command
from app.core.config.faults import Fault
from app.core.config.fields import Environment, Role, is_placeholder, is_weak
from app.core.config.groups import secret_text
from app.core.frontend import problem_with

if TYPE_CHECKING:
    from app.core.config import AppSettings

DOORBELL_ALLOWANCE: Final = 60
"""Seconds that the task which runs jobs may take beyond the limit of one job."""

SOCKET_FOLDER_LIMIT: Final = 75
"""A unix socket's path may have 107 bytes, and supervisord adds its own name and a process id."""


def cross_faults(settings: "AppSettings") -> Iterator[Fault]:
    """Every fault between settings, in every environment."""
    yield from _listening(settings)
    yield from _frontend(settings)
    yield from _database(settings)
    yield from _integrations(settings)
    yield from _celery(settings)
    if not secret_text(settings.auth.secret_key):
        yield Fault("SECRET_KEY", "is missing", f"at least 32 random characters, or {command('up')}")
    if settings.media.upload_dir and settings.media.workspace_root is None:
        yield Fault("WORKSPACE_ROOT", "is missing while UPLOAD_DIR is set", "the folder that media lives in")
    if not settings.app_env.is_lenient:
        yield from _strict(settings)


def _listening(settings: "AppSettings") -> Iterator[Fault]:
    if not _is_ipv4(settings.server.host):
        # supervisord opens the socket that the API's processes share, and knows no IPv6.
        yield Fault(
            "HOST", "is no IPv4 address", "an IPv4 address such as 127.0.0.1 or 0.0.0.0, or localhost"
        )
    size = len(os.fsencode(settings.run_dir))
    if size > SOCKET_FOLDER_LIMIT:
        yield Fault(
            "RUN_DIR",
            f"has {size} bytes, too many for the unix sockets in it",
            f"a path of {SOCKET_FOLDER_LIMIT} bytes or less, such as /run/holdfast",
        )


def _frontend(settings: "AppSettings") -> Iterator[Fault]:
    serves = settings.server.role in {Role.ALL, Role.API}
    if settings.enable_static_files and serves and (problem := problem_with(settings.frontend_dir)):
        yield Fault(
            "FRONTEND_DIR",
            f"{problem}, while ENABLE_STATIC_FILES is on",
            "the folder of the built front end, with its index.html",
        )


def _database(settings: "AppSettings") -> Iterator[Fault]:
    """What verifies a server must know whom to believe; libpq would say so at each connection only."""
    database = settings.database
    named = parse_qs(urlsplit(database.url.get_secret_value()).query).get("sslrootcert")
    if database.ssl_root_cert is not None and not os.access(database.ssl_root_cert, os.R_OK):
        yield Fault("DATABASE_SSL_ROOT_CERT", "cannot be read", "a file of certificates in PEM")
    if str(database.ssl_mode).startswith("verify") and not (database.ssl_root_cert or named):
        yield Fault(
            "DATABASE_SSL_ROOT_CERT",
            f"is missing while DATABASE_SSL_MODE is {database.ssl_mode}",
            "a file of certificates in PEM, such as /etc/ssl/certs/ca-certificates.crt",
        )


def _is_ipv4(host: str) -> bool:
    try:
        return host == "localhost" or bool(IPv4Address(host))
    except ValueError:
        return False


def _integrations(settings: "AppSettings") -> Iterator[Fault]:
    livekit, storage, email = settings.livekit, settings.storage, settings.email
    yield from _together(
        {
            "LIVEKIT_URL": livekit.url,
            "LIVEKIT_API_KEY": livekit.api_key,
            "LIVEKIT_API_SECRET": livekit.api_secret,
        }
    )
    yield from _together(
        {
            "S3_BUCKET": storage.s3_bucket,
            "S3_ACCESS_KEY": storage.s3_access_key,
            "S3_SECRET_KEY": storage.s3_secret_key,
        },
        {"S3_ENDPOINT_URL": storage.s3_endpoint, "S3_PREFIX": storage.s3_prefix},
    )
    yield from _together({"SMTP_HOST": email.smtp_host, "EMAIL_FROM": email.sender})
    yield from _together({"SMTP_USER": email.smtp_user, "SMTP_PASSWORD": email.smtp_password})


def _together(values: dict[str, object], optional: dict[str, object] | None = None) -> Iterator[Fault]:
    """All values are wanted as soon as one of them is there, or one that means nothing without them."""
    there = [name for name, value in (values | (optional or {})).items() if value]
    if there:
        for name in (name for name in values if name not in there):
            yield Fault(name, f"is missing while {there[0]} is set", f"all of {', '.join(values)}, or none")


def _celery(settings: "AppSettings") -> Iterator[Fault]:
    celery = settings.celery
    if celery.soft_time_limit >= celery.time_limit:
        yield Fault(
            "CELERY_TASK_SOFT_TIME_LIMIT",
            f"is {celery.soft_time_limit}, not below CELERY_TASK_TIME_LIMIT, which is {celery.time_limit}",
            "a number of seconds below the hard limit",
        )
    if (
        celery.visibility_timeout <= celery.time_limit + DOORBELL_ALLOWANCE
        and settings.app_env is Environment.PRODUCTION
    ):
        yield Fault(
            "CELERY_VISIBILITY_TIMEOUT",
            f"is {celery.visibility_timeout}, not above CELERY_TASK_TIME_LIMIT, which is {celery.time_limit}",
            "more seconds than the longest task takes, or the broker delivers it twice",
        )


def _strict(settings: "AppSettings") -> Iterator[Fault]:
    where = settings.app_env.value
    keys = {"SECRET_KEY": settings.auth.secret_key, "SECRET_KEY_PREVIOUS": settings.auth.secret_key_previous}
    for name, key in keys.items():
        if key is not None and is_weak(secret_text(key)):
            yield Fault(name, f"is a placeholder or too weak for {where}", "at least 32 random characters")
    for name, given in _credentials(settings).items():
        if given and is_placeholder(given):
            yield Fault(name, f"holds a placeholder in {where}", "the real password or secret")
    if settings.debug:
        yield Fault("DEBUG", f"is on in {where}", "false")
    if "*" in settings.server.cors_origins and settings.server.cors_allow_credentials:
        yield Fault(
            "CORS_ORIGINS", "allows every origin with credentials", "the origins of your own front ends"
        )


def _credentials(settings: "AppSettings") -> dict[str, str]:
    """The secrets that others gave us, by variable."""
    broker = settings.celery.broker_url
    return {
        "DATABASE_URL": urlsplit(settings.database.url.get_secret_value()).password or "",
        "DATABASE_DIRECT_URL": urlsplit(secret_text(settings.database.direct_url)).password or "",
        "REDIS_URL": urlsplit(settings.redis.url.get_secret_value()).password or "",
        "CELERY_BROKER_URL": urlsplit(secret_text(broker)).password or "",
        "SMTP_PASSWORD": secret_text(settings.email.smtp_password),
        "S3_SECRET_KEY": secret_text(settings.storage.s3_secret_key),
        "LIVEKIT_API_SECRET": secret_text(settings.livekit.api_secret),
        "METRICS_TOKEN": secret_text(settings.server.metrics_token),
    }
