"""Real Celery processes that a test starts, kills and starts again."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import psutil

from app.core.config import AppSettings
from tests.configuration import SECRET_KEY
from tests.servers import DEADLINE

ROOT = Path(__file__).resolve().parents[2]


def environment(settings: AppSettings, **values: str) -> dict[str, str]:
    """What a process needs to work on the test's own database, and quickly.

    Its leases and its patience last longer than a busy machine pauses.
    """
    own = {
        "APP_ENV": "testing",
        "STATE_DIR": str(settings.state_dir),
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "REDIS_URL": settings.redis.url.get_secret_value(),
        "SECRET_KEY": SECRET_KEY,
        "WORKSPACE_MINIMUM_FREE": "0",
        "JOB_LEASE_SECONDS": "120",
        "JOB_SWEEP_SECONDS": "0.5",
        "JOB_CANCEL_GRACE": "120",
        "WORKER_CONCURRENCY": "2",
        "PYTHONPATH": str(ROOT),
    }
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | own | values


class CeleryProcess:
    """``celery ... worker`` or ``beat``, its output in a file of its own."""

    def __init__(self, folder: Path, name: str, arguments: list[str], environ: dict[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.heartbeat = folder / f"{name}.heartbeat"
        self._environ = environ | {"HEARTBEAT_FILE": str(self.heartbeat)}
        self._arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "CeleryProcess":
        with self._open() as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", *self._arguments],
                env=self._environ,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def _open(self) -> IO[bytes]:
        return self.log.open("ab")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def children(self) -> list[psutil.Process]:
        """The pool's processes."""
        try:
            return psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout: float = DEADLINE) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def kill(self) -> None:
        """``kill -9`` of the parent; its children die with it."""
        if self.process is not None:
            children = self.children()
            self.process.kill()
            self.process.wait()
            self.process = None
            _, orphans = psutil.wait_procs(children, timeout=DEADLINE)
            for orphan in orphans:
                orphan.kill()
            assert not orphans, f"children of {self.name} outlived it: {orphans}"

    def lines(self) -> list[str]:
        """What it has said, without a line that it has not yet ended."""
        return self.text().rpartition("\n")[0].splitlines()

    def text(self) -> str:
        return self.log.read_text(errors="replace")


def end(processes: list[CeleryProcess]) -> None:
    """End all of them, whatever one leaves behind."""
    with ExitStack() as stack:
        for process in processes:
            stack.callback(_show, process)
            stack.callback(process.kill)


def _show(process: CeleryProcess) -> None:
    print(process.text())  # noqa: T201 - pytest shows it with a failed test alone


def worker(
    folder: Path, settings: AppSettings, name: str = "worker", app: str = "app.celery_app", **values: str
) -> CeleryProcess:
    """A worker that knows the tests' kinds of jobs, not yet started."""
    arguments = ["-A", app, "worker", f"--hostname={name}@%h", "--include=tests.workers.kinds"]
    arguments += ["--without-gossip", "--without-mingle"]
    return CeleryProcess(folder, name, arguments, environment(settings, **values))


def beat(
    folder: Path, settings: AppSettings, name: str = "beat", app: str = "app.celery_app"
) -> CeleryProcess:
    """A beat, not yet started."""
    return CeleryProcess(folder, name, ["-A", app, "beat", "--pidfile="], environment(settings))
