"""The groups of settings: each field with its variables, its default and what it expects."""

from pydantic import SecretStr

from app.core.config.groups.accounts import AuthSettings, EmailSettings
from app.core.config.groups.data import DatabaseSettings, RedisSettings
from app.core.config.groups.integrations import LiveKitSettings, SearchSettings, StorageSettings
from app.core.config.groups.media import MediaSettings
from app.core.config.groups.server import LoggingSettings, RateLimitSettings, ServerSettings
from app.core.config.groups.work import CelerySettings, JobSettings

__all__ = [
    "AuthSettings",
    "CelerySettings",
    "DatabaseSettings",
    "EmailSettings",
    "JobSettings",
    "LiveKitSettings",
    "LoggingSettings",
    "MediaSettings",
    "RateLimitSettings",
    "RedisSettings",
    "SearchSettings",
    "ServerSettings",
    "StorageSettings",
    "secret_text",
]


def secret_text(value: SecretStr | None) -> str:
    """The text of a secret, empty where there is none."""
    return value.get_secret_value() if value else ""
