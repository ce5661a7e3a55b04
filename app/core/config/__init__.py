"""One frozen settings object, read once from the environment.

``from app.core.config import settings`` loads it at the first use; a fault ends the process with exit
code 78 and one line a fault on standard error. ``load_settings`` is the same without the exit, for tests
and the command.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app import __version__
from app.core.config.checks import SOCKET_FOLDER_LIMIT, cross_faults
from app.core.config.faults import ConfigurationError, Fault, exit_on_faults
from app.core.config.fields import Env, Environment, OptionalText, Role
from app.core.config.groups import (
    AuthSettings,
    CelerySettings,
    DatabaseSettings,
    EmailSettings,
    JobSettings,
    LiveKitSettings,
    LoggingSettings,
    MediaSettings,
    RateLimitSettings,
    RedisSettings,
    SearchSettings,
    ServerSettings,
    StorageSettings,
    secret_text,
)
from app.core.config.sources import (
    GENERATED,
    FlatSource,
    Given,
    documented_names,
    known_variables,
    read_sources,
    secret_files,
    variables,
)
from app.core.exit_codes import EXIT_CONFIGURATION

if TYPE_CHECKING:
    settings: "AppSettings"

__all__ = [
    "EXIT_CONFIGURATION",
    "PROJECT_ROOT",
    "AppSettings",
    "ConfigurationError",
    "Environment",
    "Fault",
    "Role",
    "default_run_dir",
    "exit_on_faults",
    "given_values",
    "known_names",
    "load_settings",
    "secret_text",
    "settings",
    "state_dir",
]

PROJECT_ROOT: Final = Path(__file__).resolve().parents[3]


class AppSettings(BaseSettings):
    """Everything that can be set. Fields say their variables; groups hold what belongs together."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    app_name: Annotated[str, Env("APP_NAME", "PROJECT_NAME", "API_TITLE")] = Field(
        "Holdfast", min_length=1, description="a name"
    )
    app_version: Annotated[str, Env("APP_VERSION", "API_VERSION")] = Field(
        __version__, description="a version"
    )
    app_env: Annotated[Environment, Env("APP_ENV", "ENVIRONMENT")] = Field(
        Environment.DEVELOPMENT, description="development, testing, staging or production"
    )
    debug: Annotated[bool, Env("DEBUG")] = Field(default=False, description="true or false")
    state_dir: Annotated[Path, Env("STATE_DIR")] = Field(
        PROJECT_ROOT / ".holdfast", description="a folder for generated secrets and embedded servers"
    )
    run_dir_override: Annotated[Path | None, Env("RUN_DIR")] = Field(
        None, description="a folder for sockets and heartbeats; STATE_DIR/run where it is not set"
    )
    frontend_url: Annotated[OptionalText, Env("FRONTEND_URL")] = Field(
        None, pattern=r"^https?://", description="the front end's address"
    )
    enable_static_files: Annotated[bool, Env("ENABLE_STATIC_FILES")] = Field(
        default=False, description="true or false"
    )
    frontend_dir: Annotated[Path, Env("FRONTEND_DIR")] = Field(
        PROJECT_ROOT / "frontend" / "dist", description="the folder of the built front end"
    )
    frontend_csp: Annotated[OptionalText, Env("FRONTEND_CSP")] = Field(
        None, pattern=r"^[ -~]+$", description="a whole Content-Security-Policy for the front end's pages"
    )

    server: ServerSettings
    database: DatabaseSettings
    redis: RedisSettings
    celery: CelerySettings
    jobs: JobSettings
    auth: AuthSettings
    email: EmailSettings
    logging: LoggingSettings
    media: MediaSettings
    rate_limit: RateLimitSettings
    livekit: LiveKitSettings
    storage: StorageSettings
    search: SearchSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read from what ``load_settings`` gives alone; it has looked at every source."""
        return (init_settings,)

    @property
    def run_dir(self) -> Path:
        """Sockets, heartbeats and markers of the running stack."""
        return self.run_dir_override or default_run_dir(self.state_dir)

    @property
    def workspace_root(self) -> Path:
        """Where media lives."""
        return self.media.workspace_root or self.state_dir / "workspace"

    @property
    def log_level(self) -> str:
        """DEBUG while debugging, else LOG_LEVEL."""
        return "DEBUG" if self.debug else self.logging.level

    @property
    def broker_url(self) -> str:
        """The address that Celery talks to."""
        return (self.celery.broker_url or self.redis.url).get_secret_value()


def state_dir(values: Mapping[str, str]) -> Path:
    """The state folder that these variables choose; relative paths start at the working directory."""
    chosen = values.get("STATE_DIR")
    return Path(chosen).expanduser().absolute() if chosen else PROJECT_ROOT / ".holdfast"


def default_run_dir(state_dir: Path) -> Path:
    """The folder ``run`` of a state folder, or a short one where unix sockets would get too long a name."""
    folder = state_dir / "run"
    if len(os.fsencode(folder)) <= SOCKET_FOLDER_LIMIT:
        return folder
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"holdfast-{os.geteuid()}-{digest}"


def given_values(
    environ: Mapping[str, str] | None = None, *, directory: Path | None = None
) -> dict[str, str]:
    """What somebody set, by its documented name, without what the state folder generated."""
    return _given(environ, directory).values


def _given(environ: Mapping[str, str] | None, directory: Path | None) -> Given:
    return read_sources(
        os.environ if environ is None else environ,
        directory=directory or PROJECT_ROOT,
        documented=documented_names(AppSettings),
    )


def load_settings(environ: Mapping[str, str] | None = None, *, directory: Path | None = None) -> AppSettings:
    """Read and check the whole configuration.

    Args:
        environ: the environment; ``os.environ`` where it is not given.
        directory: the folder that holds ``.env``; the project's own where it is not given.

    Raises:
        ConfigurationError: with every fault found, all at once.
    """
    given = _given(environ, directory)
    folder = state_dir(given.values)
    generated = secret_files(folder / GENERATED, documented_names(AppSettings))
    values = generated | given.values | {"STATE_DIR": str(folder)}
    nested = FlatSource(AppSettings, values)()
    loaded, faults = _validate(nested, given.spelt)
    if loaded is not None:
        faults += list(cross_faults(loaded))
    if faults or loaded is None:
        raise ConfigurationError(faults)
    return loaded


def _validate(nested: dict[str, Any], spelt: Mapping[str, str]) -> tuple[AppSettings | None, list[Fault]]:
    """Validate; where fields are at fault, put stand-ins for them so that the cross checks still run."""
    try:
        return AppSettings(**nested), []
    except ValidationError as error:
        faults = [_fault(detail["loc"], detail["type"], detail["msg"], spelt) for detail in error.errors()]
        for detail in error.errors():
            _stand_in(nested, detail["loc"])
    try:
        return AppSettings(**nested), faults
    except ValidationError:
        return None, faults


_STAND_INS: Final = {
    ("database", "url"): "postgresql://localhost/stand-in",
    ("redis", "url"): "redis://localhost",
}


def _stand_in(nested: dict[str, Any], loc: tuple[int | str, ...]) -> None:
    place = tuple(str(part) for part in loc)
    target = nested
    if len(place) > 1 and isinstance(nested.get(place[0]), dict):
        target, place = nested[place[0]], place[1:]
    target.pop(place[0], None)
    if stand_in := _STAND_INS.get((str(loc[0]), place[0])):
        target[place[0]] = stand_in


def _fault(loc: tuple[int | str, ...], kind: str, message: str, spelt: Mapping[str, str]) -> Fault:
    for place, field in known_variables(AppSettings):
        if place == tuple(str(part) for part in loc[: len(place)]):
            name = variables(field)[0]
            name = spelt.get(name, name)
            problem = "is missing" if kind == "missing" else _problem(message)
            return Fault(name, problem, field.description or "another value")
    return Fault(".".join(str(part) for part in loc), _problem(message), "another value")


def _problem(message: str) -> str:
    return (
        message.removeprefix("Value error, ")
        .replace("Input should", "should")
        .replace("String should", "should")
    )


def known_names() -> frozenset[str]:
    """Every variable that a setting is read from, with its other spellings."""
    return frozenset(documented_names(AppSettings))


@cache
def _settings() -> AppSettings:
    try:
        return load_settings()
    except ConfigurationError as error:
        raise exit_on_faults(error) from None


def __getattr__(name: str) -> Any:
    if name == "settings":
        return _settings()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
