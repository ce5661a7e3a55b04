"""Containers of the image that is tried, as strictly confined as an operator can."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import httpx
import psutil
import psycopg

from app.core.config import load_settings
from tests.accounts import bearer, seed
from tests.configuration import NOWHERE, PATIENT, SECRET_KEY
from tests.servers import own_port, plain, wait_for

IMAGE = os.environ.get("HOLDFAST_IMAGE", "holdfast:latest")

CONFINED = (
    *("--read-only", "--tmpfs", "/tmp", "--tmpfs", "/run"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "12345:0"),
)
"""Nothing but the volumes can be written, nothing is privileged, and the account is in no list."""

START_SECONDS = 240.0


def client() -> str:
    """The engine's command."""
    return os.environ.get("DOCKER") or shutil.which("docker") or "docker"


def docker(*arguments: str, timeout: float = 300) -> str:
    """Run the engine's command and give what it says.

    Raises:
        AssertionError: it failed; the message says how.
    """
    done = subprocess.run(
        [client(), *arguments], capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def unavailable() -> str:
    """Why there is nothing to try here; empty where there is."""
    try:
        docker("version", timeout=60)
    except (OSError, AssertionError, subprocess.TimeoutExpired):
        return "no container engine answers: start dockerd, or name a client with DOCKER"
    try:
        docker("image", "inspect", IMAGE, timeout=60)
    except AssertionError:
        return f"there is no image {IMAGE}: build it with scripts/build-backend.sh, or set HOLDFAST_IMAGE"
    return ""


@cache
def is_of_nix() -> bool:
    """Whether the flake made the image that is tried."""
    label = '{{index .Config.Labels "org.opencontainers.image.base.name"}}'
    return docker("image", "inspect", "--format", label, IMAGE) == "nixpkgs"


def among(
    processes: Iterable[psutil.Process], is_one: Callable[[psutil.Process], bool]
) -> list[psutil.Process]:
    """Those that are such, but for any that ends while it is asked."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if is_one(process):
                found.append(process)
    return found


class Container:
    """One container on the host's network; removed when it is let go.

    Args:
        environment: its variables, over those of every test.
        options: of the engine.
        hidden: variables that it is not given, for it has them from elsewhere.
    """

    def __init__(
        self, environment: dict[str, str], *options: str, hidden: frozenset[str] = frozenset()
    ) -> None:
        self.port = own_port()
        self.environment = {
            "SECRET_KEY": SECRET_KEY,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATABASE_POOL_SIZE": "5",
            "WORKSPACE_MINIMUM_FREE": "0",
        } | PATIENT | environment  # fmt: skip
        self._options = options
        self._hidden = hidden
        self.name = f"holdfast-{secrets.token_hex(4)}"
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def start(self, *command: str, confined: bool = True) -> None:
        """Start it; the command is the image's where none is given."""
        shown = {name: value for name, value in self.environment.items() if name not in self._hidden}
        variables = [word for name, value in shown.items() for word in ("--env", f"{name}={value}")]
        strict = CONFINED if confined else ()
        options = ("--detach", "--name", self.name, "--network", "host", *strict, *variables, *self._options)
        docker("run", *options, IMAGE, *command)

    def answers(self, path: str) -> int:
        """The status of an answer; 0 while nobody answers."""
        try:
            return self.http.get(path).status_code
        except httpx.TransportError:
            return 0

    def is_ready(self) -> bool:
        """Whether readiness is 200."""
        return self.answers("/health/ready") == 200

    def wait_ready(self) -> None:
        """Wait for it."""
        wait_for(self._ready_or_ended, timeout=START_SECONDS, what=f"readiness of {self.name}")

    def _ready_or_ended(self) -> bool:
        state = self.state()
        assert state["Running"], f"it ended with {state['ExitCode']}:\n{self.output()}"
        return self.is_ready()

    def let_in(self) -> None:
        """Make the accounts of tests, and let the client act for OWNER."""
        settings = load_settings(self.environment | {"APP_ENV": "testing"}, directory=NOWHERE)
        with psycopg.connect(plain(settings.database.url.get_secret_value()), autocommit=True) as connection:
            seed(connection)
        self.http.headers.update(bearer(settings))

    def state(self) -> dict[str, Any]:
        """What the engine knows of its life."""
        state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.name))
        return state

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return subprocess.run(
            [client(), "exec", self.name, *command], capture_output=True, text=True, check=False, timeout=300
        )

    def told(self, *command: str) -> str:
        """What a command that only reads says; asked again where nothing comes.

        Engines are known to lose the output of a short command now and then.
        """
        said: list[str] = []

        def is_told() -> bool:
            done = self.execute(*command)
            if not done.stdout:
                assert self.state()["Running"], self.output()
                print(done.returncode, done.stderr)  # noqa: T201 - shown with a failed test alone
                return False
            said.append(done.stdout)
            return True

        wait_for(is_told, what=f"the output of {' '.join(command)}")
        return said[0]

    def output(self) -> str:
        """All that it wrote so far, both streams."""
        done = subprocess.run(
            [client(), "logs", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        return done.stdout

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every line of its output, which must each be a JSON object."""
        for line in self.output().splitlines():
            fields = json.loads(line)
            assert isinstance(fields, dict), line
            yield fields

    def messages(self) -> list[str]:
        """The message of each line."""
        return [str(line["message"]) for line in self.lines()]

    def members(self) -> list[psutil.Process]:
        """Its processes as the host sees them, the first one first."""
        first = psutil.Process(self.state()["Pid"])
        return [first, *first.children(recursive=True)]

    def pids(self) -> dict[str, int]:
        """The processes that supervisord runs in it, by name, with their numbers in the container."""
        told = json.loads(self.told("cat", "/run/holdfast/processes.json"))
        return {row["name"]: row["pid"] or 0 for row in told["processes"]}

    def stop(self, seconds: int = 40) -> tuple[int, float]:
        """``docker stop``; gives the exit code and how long it took."""
        begin = time.monotonic()
        docker("stop", "--time", str(seconds), self.name)
        return self.state()["ExitCode"], time.monotonic() - begin

    def kill(self) -> None:
        """The end of a machine: every process is gone at once."""
        docker("kill", "--signal", "KILL", self.name)

    def wait_end(self, timeout: float = 120) -> int:
        """Wait until it has ended; gives the exit code."""
        wait_for(lambda: not self.state()["Running"], timeout=timeout, what=f"the end of {self.name}")
        return int(self.state()["ExitCode"])

    def remove(self) -> None:
        """Leave nothing of it."""
        self.http.close()
        with suppress(AssertionError, subprocess.TimeoutExpired):
            docker("rm", "--force", "--volumes", self.name)

    def hurt(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one of its processes, by its number in the container."""
        done = self.execute("python3", "-I", "-S", "-c", f"import os; os.kill({pid}, {number.value})")
        assert done.returncode == 0, done.stderr

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as the API tells it."""
        answer = self.http.get(f"/api/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def wait_job(self, job_id: str, *states: str, timeout: float = 120) -> dict[str, Any]:
        """The job, once it is in one of these states."""
        wait_for(lambda: self.job(job_id)["state"] in states, timeout=timeout, what=f"{job_id} {states}")
        return self.job(job_id)


@contextmanager
def containers() -> Iterator[list[Container]]:
    """A list; every container in it is removed at the end."""
    made: list[Container] = []
    try:
        yield made
    finally:
        for container in made:
            container.remove()
