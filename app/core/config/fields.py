"""The kinds of value that a setting can have, and how each is read from text."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

PLACEHOLDERS: Final = frozenset(
    {
        "changeme",
        "changethis",
        "change-me",
        "change_me",
        "secret",
        "password",
        "placeholder",
        "example",
        "test",
    }
)
MINIMUM_SECRET_LENGTH: Final = 32
DIFFERENT_CHARACTERS: Final = 8


class Environment(StrEnum):
    """Where this runs. Only ``development`` and ``testing`` are lenient."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def is_lenient(self) -> bool:
        """Whether generated secrets, debug and a missing mail server are accepted."""
        return self in {Environment.DEVELOPMENT, Environment.TESTING}


class Role(StrEnum):
    """Which programs one container runs."""

    ALL = "all"
    API = "api"
    WORKER = "worker"
    BEAT = "beat"


@dataclass(frozen=True, slots=True)
class Env:
    """The environment variables that a field is read from, the documented name first."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


class Group(BaseModel):
    """A frozen group of settings. Every field names its variables with ``Env``."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True)


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError("starts like a JSON list but is none") from error
    return [item.strip() for item in text.split(",") if item.strip()]


def _check_address(text: str) -> None:
    try:
        _ = urlsplit(text).port
    except ValueError:
        message = "is no address: percent-encode special characters of the password, and see to the port"
        raise ValueError(message) from None


def _postgres(value: SecretStr) -> SecretStr:
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or scheme not in _POSTGRES_SCHEMES:
        raise ValueError("is not a PostgreSQL address")
    _check_address(value.get_secret_value())
    return SecretStr(f"postgresql+psycopg://{rest}")


def _redis(value: SecretStr) -> SecretStr:
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or scheme not in {"redis", "rediss", "unix"} or not rest:
        raise ValueError("is not a Redis address")
    _check_address(value.get_secret_value())
    return value


def _empty_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


_POSTGRES_SCHEMES: Final = frozenset(
    {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg"}
)

TextList = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A list of texts, given as a JSON list or separated by commas."""

PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres)]
"""A PostgreSQL address; every spelling of its scheme becomes ``postgresql+psycopg``."""

RedisUrl = Annotated[SecretStr, AfterValidator(_redis)]
"""A Redis address: ``redis://``, ``rediss://`` or ``unix://``."""

OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_empty_is_none)]
OptionalText = Annotated[str | None, BeforeValidator(_empty_is_none)]


def is_placeholder(secret: str) -> bool:
    """Whether a secret is one that documentation shows, or says that it wants to be changed."""
    text = secret.strip().lower()
    return text in PLACEHOLDERS or text.replace("-", "").replace("_", "").startswith(
        ("changeme", "changethis")
    )


def is_weak(secret: str) -> bool:
    """Whether a signing secret is a placeholder, too short, or of too few different characters."""
    return (
        is_placeholder(secret)
        or len(secret) < MINIMUM_SECRET_LENGTH
        or len(set(secret)) < DIFFERENT_CHARACTERS
    )
