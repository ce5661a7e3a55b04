"""The real supervised stack, started as an operator starts it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from xprocess import ProcessStarter

from app.core.config import load_settings
from app.supervision import control
from app.supervision.state import State
from tests.accounts import bearer, seed
from tests.configuration import NOWHERE, PATIENT
from tests.servers import own_port, plain, state_folder, wait_for

SECRET = "planted-" + "s3cr3t" * 6
START_SECONDS = 200.0
LAST_WORDS = 8000
"""Characters."""


class Stack:
    """One stack: its address, its processes, its log."""

    def __init__(self, folder: Path, **values: str) -> None:
        self.state = State.chosen({"STATE_DIR": str(folder)})
        self.port = own_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Of pages that tests serve.
        self.origin = f"http://127.0.0.1:{own_port()}"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.endswith(("DATABASE_URL", "REDIS_URL"))
        }
        self.environment = kept | {
            "APP_ENV": "testing",
            "STATE_DIR": str(folder),
            "PORT": str(self.port),
            "CORS_ORIGINS": self.origin,
            "SECRET_KEY": SECRET,
            "WORKSPACE_MINIMUM_FREE": "0",
            "DATABASE_POOL_SIZE": "10",
        } | PATIENT | values  # fmt: skip
        self.log = folder / "stack.log"
        self.client = httpx.Client(base_url=self.url, timeout=120)
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        """The ``holdfast`` command with arguments."""
        return [sys.executable, "-m", "app.cli", *arguments]

    def is_ready(self) -> bool:
        """Whether readiness is 200."""
        return control.is_ready("127.0.0.1", self.port)

    def wait_ready(self) -> None:
        """Wait for it; where it does not come, what the stack said last is shown with the failure."""
        try:
            wait_for(self.is_ready, timeout=START_SECONDS, what="readiness")
        except TimeoutError:
            sys.stderr.write(self.log.read_text("utf-8")[-LAST_WORDS:])
            raise

    def wait_running(self) -> None:
        """Wait until every program runs; readiness is that of one process of the API."""
        wait_for(lambda: control.all_running(self.state), timeout=START_SECONDS, what="all to run")

    def start(self) -> None:
        """Start it in the foreground as JSON lines, as a container does, outside of xprocess."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command("up", "--foreground", "--json"),
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_ready()
        self.let_in()

    def let_in(self) -> None:
        """Make the accounts of tests where they are not, and let the client act for OWNER."""
        settings = load_settings(self.environment, directory=NOWHERE)
        with psycopg.connect(plain(settings.database.url.get_secret_value()), autocommit=True) as connection:
            seed(connection)
        self.client.headers.update(bearer(settings))

    def end(self, *, timeout: float = 120) -> int:
        """SIGTERM, as an orchestrator sends it; gives the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def members(self) -> list[psutil.Process]:
        """supervisord and everything below it."""
        pid = control.running_pid(self.state)
        if pid is None:
            return []
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]

    def pid(self, name: str) -> int:
        """The process id of a program's process, once it runs."""

        found: list[int] = []

        def runs() -> bool:
            infos = [info for info in control.process_info(self.state) if info["name"] == name]
            found[:] = [info["pid"] for info in infos if info["statename"] in {"RUNNING", "STARTING"}]
            return bool(found)

        wait_for(runs, what=f"{name} to run")
        return found[0]

    def kill(self, name: str) -> int:
        """``kill -9`` of one process; gives the pid that it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def supervisorctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """supervisorctl on this stack."""
        command = [
            sys.executable,
            "-m",
            "supervisor.supervisorctl",
            "-c",
            str(self.state.client_configuration),
        ]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, timeout=120
        )

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every line of its output that is whole so far, which must each be a JSON object."""
        for line in self.log.read_text("utf-8").rpartition("\n")[0].splitlines():
            if "@@__xproc" in line:
                continue
            fields = json.loads(line)
            assert isinstance(fields, dict)
            yield fields

    def wait_job(self, job_id: str, *states: str, timeout: float = 120) -> dict[str, Any]:
        """The job, once it is in one of these states."""

        def reached() -> bool:
            answer = self.client.get(f"/api/v1/jobs/{job_id}")
            return answer.status_code == 200 and answer.json()["state"] in states

        wait_for(patient(reached), timeout=timeout, what=f"job {job_id} to be {' or '.join(states)}")
        job: dict[str, Any] = self.client.get(f"/api/v1/jobs/{job_id}").json()
        return job

    def upload(self, file: Path, **headers: str) -> dict[str, Any]:
        """Upload a file that must be accepted."""
        with file.open("rb") as stream:
            answer = self.client.post("/api/v1/media", files={"file": (file.name, stream)}, headers=headers)
        assert answer.status_code in {201, 202}, answer.text
        body: dict[str, Any] = answer.json()
        return body


def patient(ask: Callable[[], bool]) -> Callable[[], bool]:
    """The same question, answered no while nobody is there to answer."""

    def asked() -> bool:
        try:
            return ask()
        except httpx.TransportError:
            return False

    return asked


@contextmanager
def fresh_stack(**values: str) -> Iterator[Stack]:
    """A stack of its own for one test, in a folder of its own; ended and swept in any case."""
    with state_folder() as folder:
        stack = Stack(folder, **values)
        try:
            yield stack
        finally:
            finish(stack)


def finish(stack: Stack) -> None:
    """End what is left of a stack: in order, then by force."""
    left = stack.members()
    stack.client.close()
    if stack.process is not None and stack.process.poll() is None:
        stack.process.terminate()
        try:
            stack.process.wait(60)
        except subprocess.TimeoutExpired:
            stack.process.kill()
            stack.process.wait()
    _, alive = psutil.wait_procs(left, timeout=5)
    for process in alive:
        process.kill()


def starter(stack: Stack) -> type[ProcessStarter]:
    """How pytest-xprocess starts a stack."""

    class Starter(ProcessStarter):  # type: ignore[misc]  # the library has no types
        args = stack.command("up", "--foreground", "--json")
        env = stack.environment
        timeout = int(START_SECONDS)
        terminate_on_interrupt = True

        def startup_check(self) -> bool:
            return stack.is_ready()

    return Starter
