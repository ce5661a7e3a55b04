"""Real PostgreSQL and Redis that tests start, kill and start again at the same address."""

import atexit
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import redis
from psycopg import sql
from sqlalchemy import make_url, text

from app.core.config.sources import GENERATED
from app.supervision.embedded.account import server_home, unprivileged_account

DEADLINE = 60.0

WAITING_FOR_LOCKS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
"""Sessions of this database that wait for a lock. In a transaction, the view shows what it showed first."""

_kept = ExitStack()
atexit.register(_kept.close)


def own_port() -> int:
    """A TCP port on loopback that nobody else is given while this process lives.

    It is held by a socket that does not listen: servers, which reuse addresses, may listen there.
    """
    holder = _kept.enter_context(socket.socket())
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return int(holder.getsockname()[1])


def wait_for(
    condition: Callable[[], object],
    *,
    timeout: float = DEADLINE,
    every: float = 0.02,
    what: str = "the condition",
) -> None:
    """Ask until the condition holds, every so many seconds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true within {timeout} s")
        time.sleep(every)


@contextmanager
def state_folder() -> Iterator[Path]:
    """A short, passable folder: unix sockets have short names, and PostgreSQL runs as another account."""
    folder = Path(tempfile.mkdtemp(prefix="hf-"))
    folder.chmod(0o755)
    (folder / GENERATED).mkdir(mode=0o700)
    (folder / "run").mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(server_home(folder, unprivileged_account()).parent, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """One embedded server that a test may kill and start again at the same address."""

    def __init__(self, folder: Path, module: str, name: str, address: str, ready: Callable[[], bool]) -> None:
        self.address = address
        self._environment = os.environ | {"STATE_DIR": str(folder), "RUN_DIR": str(folder / "run")}
        self._module = module
        self._log = folder / f"{module}.log"
        self._ready = ready
        self.process: subprocess.Popen[bytes] | None = None
        (folder / GENERATED / name).write_text(address)

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"app.supervision.embedded.{self._module}"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for(self._answers, what=self._module)
        except BaseException:
            self.kill()
            sys.stderr.write(self._log.read_text())
            raise

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"{self._module} ended with {self.process.returncode}")
        return self._ready()

    def kill(self) -> None:
        """``kill -9``, and wait for its end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Stop it in order: fast shutdown for PostgreSQL (SIGINT), SIGTERM for Redis."""
        if self.process is not None:
            self.process.send_signal(2 if self._module == "postgres" else 15)
            try:
                self.process.wait(DEADLINE)
            finally:
                self.kill()


def postgres_server(folder: Path) -> Server:
    """A PostgreSQL of its own in a state folder, not yet started."""
    address = f"postgresql+psycopg://holdfast:{secrets.token_hex(12)}@127.0.0.1:{own_port()}/holdfast"

    def ready() -> bool:
        try:
            psycopg.connect(plain(address), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    return Server(folder, "postgres", "DATABASE_URL", address, ready)


def redis_server(folder: Path) -> Server:
    """A Redis of its own in a state folder, not yet started."""
    address = f"redis://:{secrets.token_hex(12)}@127.0.0.1:{own_port()}/0"

    def ready() -> bool:
        try:
            with closing(redis.Redis.from_url(address, socket_timeout=2)) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    return Server(folder, "redis", "REDIS_URL", address, ready)


def drop(admin: psycopg.Connection, database: str) -> None:
    """Drop a database. PostgreSQL waits five seconds for who is in it, of which a busy machine needs more."""

    def is_dropped() -> bool:
        try:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
        except psycopg.errors.ObjectInUse:
            return False
        return True

    wait_for(is_dropped, what=f"the end of {database}")


def plain(address: str) -> str:
    """A SQLAlchemy address as libpq reads it."""
    return address.replace("postgresql+psycopg://", "postgresql://", 1)


def beside(address: str, database: str) -> str:
    """The address of another database on the same server."""
    return make_url(address).set(database=database).render_as_string(hide_password=False)
