"""Where settings come from, in order: the environment, `.env`, secret files, the state folder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from app.core.config.faults import ConfigurationError, Fault
from app.core.config.fields import Env, Group

PREFIX: Final = "BACKEND_"
SYSTEM_SECRETS: Final = Path("/run/secrets")
GENERATED: Final = "secrets"
"""The folder in the state folder that holds generated secrets and the embedded servers' addresses."""


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody set: documented name to value, and to the spelling that was used."""

    values: dict[str, str]
    spelt: dict[str, str]

    def over(self, weaker: "Given") -> "Given":
        """These, and from a weaker source what these leave out, whatever spelling either used."""
        return Given(weaker.values | self.values, weaker.spelt | self.spelt)


def given_by(source: Mapping[str, str], documented: Mapping[str, str]) -> Given:
    """One source's variables under their documented names; the documented spelling wins over the others.

    An empty value counts as not set, as compose files write ``NAME=`` for what they leave out.
    """
    values: dict[str, str] = {}
    spelt: dict[str, str] = {}
    for spelling in sorted(source, key=lambda name: name != documented.get(name, name)):
        name = documented.get(spelling, spelling)
        if source[spelling].strip() and name not in values:
            values[name] = source[spelling]
            spelt[name] = spelling
    return Given(values, spelt)


def read_sources(environ: Mapping[str, str], *, directory: Path, documented: Mapping[str, str]) -> Given:
    """Every variable that is set by somebody.

    ``environ`` wins over ``.env`` in ``directory``, that over files in ``SECRETS_DIR`` and ``/run/secrets``.

    Args:
        environ: the environment.
        directory: the folder that holds ``.env``.
        documented: every spelling of a setting to its documented name.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    try:
        file = dotenv_values(directory / ".env", interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(str(directory / ".env")) from error
    dotenv = {name.upper(): value for name, value in file.items() if value is not None}
    given = given_by(environ, documented).over(given_by(dotenv, documented))
    folders = [SYSTEM_SECRETS]
    if chosen := given.values.get("SECRETS_DIR"):
        folders.insert(0, Path(chosen))
    for folder in folders:
        given = given.over(given_by(secret_files(folder, documented), documented))
    return given


def secret_files(folder: Path, documented: Mapping[str, str]) -> dict[str, str]:
    """The files of a folder that are named as a setting, to their content without its last line break.

    Raises:
        ConfigurationError: the folder or one of them cannot be read.
    """
    try:
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise ConfigurationError(
            [Fault(str(folder), "cannot be read", "a folder that this account may read")]
        ) from error
    found = {}
    for path in paths:
        if path.name.upper() in documented and path.is_file():
            try:
                found[path.name.upper()] = path.read_text("utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise unreadable(str(path)) from error
    return found


def unreadable(path: str) -> ConfigurationError:
    """The fault of a file that cannot be read."""
    return ConfigurationError(
        [Fault(path, "cannot be read", "a text file in UTF-8 that this account may read")]
    )


def documented_names(model: type[BaseSettings]) -> dict[str, str]:
    """Every spelling of every setting to its documented name."""
    names = {s: variables(field)[0] for _, field in known_variables(model) for s in variables(field)}
    return names | {"SECRETS_DIR": "SECRETS_DIR"}


def variables(field: FieldInfo) -> tuple[str, ...]:
    """The names that a field is read from, each also with the prefix ``BACKEND_``."""
    names = next((mark.names for mark in field.metadata if isinstance(mark, Env)), ())
    return tuple(spelling for name in names for spelling in (name, PREFIX + name))


def known_variables(model: type[BaseSettings]) -> Iterator[tuple[tuple[str, str] | tuple[str], FieldInfo]]:
    """Each setting's place in the object, and its field."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            for inner, inner_field in field.annotation.model_fields.items():
                yield (name, inner), inner_field
        else:
            yield (name,), field


class FlatSource(PydanticBaseSettingsSource):
    """Puts flat variables into the nested groups, so that one validation finds every fault at once."""

    def __init__(self, model: type[BaseSettings], values: Mapping[str, str]) -> None:
        super().__init__(model)
        self._values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One field's text; part of the interface of pydantic-settings."""
        return self._values.get(variables(field)[0]), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The nested input of the settings object."""
        nested: dict[str, Any] = {
            name: {}
            for name, field in self.settings_cls.model_fields.items()
            if isinstance(field.annotation, type) and issubclass(field.annotation, Group)
        }
        for place, field in known_variables(self.settings_cls):
            value, _, _ = self.get_field_value(field, place[-1])
            if value is None:
                continue
            target = nested[place[0]] if len(place) > 1 else nested
            target[place[-1]] = value
        return nested
