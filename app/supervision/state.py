"""The state folder: generated secrets, addresses of the embedded servers, sockets and logs."""

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from app.core.config import default_run_dir, state_dir
from app.core.config.sources import GENERATED

DATABASE_URL: Final = "DATABASE_URL"
REDIS_URL: Final = "REDIS_URL"
SECRET_KEY: Final = "SECRET_KEY"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True)
class State:
    """The folders of one stack."""

    folder: Path
    run: Path

    @classmethod
    def chosen(cls, given: Mapping[str, str]) -> "State":
        """The folders that the given variables choose."""
        folder = state_dir(given)
        run = given.get("RUN_DIR")
        return cls(folder, Path(run).absolute() if run else default_run_dir(folder))

    @property
    def secrets(self) -> Path:
        """Generated secrets, one file each, mode 0600."""
        return self.folder / GENERATED

    @property
    def logs(self) -> Path:
        """Where a stack in the background writes its lines."""
        return self.folder / "logs"

    @property
    def log_file(self) -> Path:
        """The lines of every program."""
        return self.logs / "holdfast.log"

    @property
    def client_configuration(self) -> Path:
        """What ``supervisorctl -c`` reads."""
        return self.folder / "supervisorctl.conf"

    @property
    def control_socket(self) -> Path:
        """Where supervisord listens."""
        return self.run / "supervisor.sock"

    def prepare(self) -> None:
        """Make the folders. The first can be passed through, for PostgreSQL may run as another account."""
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for folder in (self.secrets, self.run, self.logs, self.run / "heartbeats"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def forget_the_last_run(self) -> None:
        """Remove the numbers of processes that are gone; nothing may run here now."""
        shutil.rmtree(self.run / "metrics", ignore_errors=True)

    def embedded_servers(self, given: Mapping[str, str]) -> tuple[str, ...]:
        """The programs of the servers that this stack runs itself: those whose address nobody set."""
        wanted = {"postgres": DATABASE_URL, "redis": REDIS_URL}
        return tuple(program for program, name in wanted.items() if name not in given)

    def generate(self, servers: tuple[str, ...]) -> None:
        """Generate what is missing, and move an embedded server away from a port that somebody else took."""
        self._keep(SECRET_KEY, lambda: secrets.token_urlsafe(48))
        if "postgres" in servers:
            self._keep_address(
                DATABASE_URL,
                lambda port, word: f"postgresql+psycopg://holdfast:{word}@127.0.0.1:{port}/holdfast",
            )
        if "redis" in servers:
            self._keep_address(REDIS_URL, lambda port, word: f"redis://:{word}@127.0.0.1:{port}/0")

    def _keep(self, name: str, make: Callable[[], str]) -> str:
        file = self.secrets / name
        if not file.exists():
            write_secret(file, make())
        return file.read_text("utf-8").strip()

    def _keep_address(self, name: str, make: Callable[[int, str], str]) -> None:
        address = urlsplit(self._keep(name, lambda: make(free_port(), secrets.token_hex(24))))
        if address.port is not None and not is_free(address.port):
            write_secret(self.secrets / name, make(free_port(), address.password or secrets.token_hex(24)))


def write_secret(file: Path, text: str) -> None:
    """Write a secret whole or not at all, readable by its owner only."""
    partial = file.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a TCP port can be listened on."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
