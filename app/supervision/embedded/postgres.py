"""``python -m app.supervision.embedded.postgres``: make the data folder once, then become PostgreSQL."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from sqlalchemy import URL, make_url

from app.core.config.sources import GENERATED
from app.supervision.embedded.account import Account, reachable_copy, server_home, unprivileged_account
from app.supervision.embedded.binaries import PostgresPrograms, ServerMissingError, find_postgres
from app.supervision.embedded.password import is_noted, note, quoted

MAX_CONNECTIONS: Final = "POSTGRES_MAX_CONNECTIONS"
"""The variable by which the launcher says how many connections all pools may open."""

_SOCKET_PATH_LIMIT: Final = 90
"""A unix socket's path may have 107 bytes; the server's own file name takes some of them."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One embedded server: its programs, its data, its address and who runs it."""

    programs: PostgresPrograms
    data: Path
    address: URL
    account: Account | None

    @classmethod
    def in_state(cls, state_dir: Path, address: URL) -> "PostgresServer":
        """The server whose data lives in (or, for root, beside) a state folder.

        Raises:
            ServerMissingError: no usable PostgreSQL was found.
        """
        account = unprivileged_account()
        home = server_home(state_dir, account)
        programs = programs_for(home)
        programs = PostgresPrograms(reachable_copy(programs.prefix, account, home), programs.version)
        return cls(programs, home / f"data-{programs.version}", address, account)

    def command(self) -> list[str]:
        """The server in the foreground, on loopback and a socket of its own."""
        sockets = self.data.parent if len(str(self.data.parent)) < _SOCKET_PATH_LIMIT else ""
        options = {
            "listen_addresses": self.address.host or "127.0.0.1",
            "port": self.address.port or 5432,
            "unix_socket_directories": sockets,
            "max_connections": os.environ.get(MAX_CONNECTIONS, "100"),
            "shared_buffers": "64MB",
            "max_wal_size": "512MB",
            "log_line_prefix": "",
            "log_timezone": "UTC",
            "timezone": "UTC",
            "log_checkpoints": "off",
            "password_encryption": "scram-sha-256",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [self.programs.program("postgres"), "-D", str(self.data), *flags]

    def prepare(self) -> None:
        """Make the data folder and the database where they are missing; a half-made folder is made anew."""
        if self.account:
            self.account.own(self.data.parent)
        else:
            self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._make()
        self._keep_password()

    def _make(self) -> None:
        partial = self.data.with_name(self.data.name + ".partial")
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, suffix=".pw") as password:
            password.write(self.address.password or "")
            password.flush()
            if self.account:
                os.chown(password.name, self.account.uid, self.account.gid)
            self._run("rm", "-rf", str(partial))
            self._run(
                self.programs.program("initdb"),
                *("-D", str(partial), "-U", self.address.username or "holdfast", "-E", "UTF8"),
                *("--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password.name}"),
            )
        self._run(
            *(self.programs.program("postgres"), "--single", "-D", str(partial), "postgres"),
            stdin=f'CREATE DATABASE "{self.address.database}"\n',
        )
        partial.rename(self.data)
        note(self._marker, self.address.password or "")

    @property
    def _marker(self) -> Path:
        return self.data.with_name(f"{self.data.name}.password")

    def _keep_password(self) -> None:
        """Give the role the address's password where that is new: data can outlive a state folder."""
        password = self.address.password or ""
        if is_noted(self._marker, password):
            return
        role = quoted(self.address.username or "holdfast", '"')
        self._run(
            *(self.programs.program("postgres"), "--single", "-D", str(self.data)),
            # A statement that fails ends the program, and is not written to the log with its password.
            *("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic", "postgres"),
            stdin=f"ALTER ROLE {role} PASSWORD {quoted(password, chr(39))}\n",
        )
        note(self._marker, password)

    def _run(self, *argv: str, stdin: str = "") -> None:
        subprocess.run(
            argv,
            input=stdin,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.data.parent,
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )

    def execute(self) -> NoReturn:
        """Become the server."""
        argv = self.command()
        os.chdir(self.data.parent)
        if self.account:
            self.account.become()
        os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


def programs_for(home: Path) -> PostgresPrograms:
    """The programs of the version that made the newest data in a home; of any version where there is none.

    Raises:
        ServerMissingError: no usable PostgreSQL was found.
    """
    version = newest_version(home)
    if version is None:
        return find_postgres()
    try:
        return find_postgres(version)
    except ServerMissingError as error:
        raise ServerMissingError(
            f"the data of PostgreSQL {version} is in {home / f'data-{version}'}: install "
            f"PostgreSQL {version} with pgvector, or dump it with that version and restore"
        ) from error


def newest_version(home: Path) -> int | None:
    """The newest version that has whole data in a server's home."""
    names = (re.fullmatch(r"data-(\d+)", mark.parent.name) for mark in home.glob("data-*/PG_VERSION"))
    return max((int(name[1]) for name in names if name), default=None)


def main() -> NoReturn:
    """Run the server of the state folder that ``STATE_DIR`` names, at the address that the launcher chose."""
    state_dir = Path(os.environ["STATE_DIR"])
    address = make_url((state_dir / GENERATED / "DATABASE_URL").read_text().strip())
    try:
        server = PostgresServer.in_state(state_dir, address)
        server.prepare()
    except (ServerMissingError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"postgres: {error}\n")
        raise SystemExit(1) from None
    server.execute()


if __name__ == "__main__":
    main()
