"""A real supervisord with this project's configuration and toy programs."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

ROOT = Path(__file__).resolve().parents[2]
TOY = Path(__file__).with_name("toy.py")
CONFIGURATION = ROOT / "supervisor" / "supervisord.conf"
DEADLINE = 60
GRACE = 20  # longer than supervisord waits for a program before it kills it
T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "the condition") -> T:
    """Wait for a condition to hold and give its value."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come true in {DEADLINE} s"
        time.sleep(0.05)
    return value


def is_alive(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Stack:
    """One supervisord and what it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.run.mkdir()
        self.lines: list[bytes] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._programs: list[Path] = []
        self._variables: dict[str, str] = {}

    def program(self, name: str, *arguments: object, kind: str = "program", **options: Any) -> Path:
        """Add a program, a toy where no command is given; options are those of supervisor."""
        words = " ".join(f'"{argument}"' for argument in arguments)
        settings = {
            "command": f"{sys.executable} {TOY} {words}",
            "startsecs": 0,
            "stdout_logfile": "NONE",
            "stderr_logfile": "NONE",
            "stdout_events_enabled": "true",
            "stderr_events_enabled": "true",
        } | options
        path = self.folder / f"{name}.conf"
        path.write_text(f"[{kind}:{name}]\n" + "".join(f"{key}={value}\n" for key, value in settings.items()))
        self._programs.append(path)
        return path

    def start(self, *, read: bool = True, wait: bool = True, **variables: object) -> None:
        """Start supervisord; without ``read`` its lines wait, without ``wait`` it may not answer yet."""
        values = {
            "RUN_DIR": self.run,
            "HOLDFAST_PROGRAMS": " ".join(str(path) for path in self._programs),
            "HOLDFAST_LOG_FILE": "",
            "HOLDFAST_CRITICAL": "",
            "FATAL_GRACE": "1",
            "WATCHDOG_TIMEOUT": "30",
            "HOLDFAST_PRELOAD": "",
            "PYTHONPATH": ROOT,
        } | variables
        self._variables = os.environ | {name: str(value) for name, value in values.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)],
            cwd=self.folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if read:
            self.read()
        if wait:
            until(self.answers, "supervisord's answer")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """supervisord."""
        assert self._process
        return self._process

    def read(self) -> None:
        """Begin to read what it writes."""
        assert self.process.stdout
        self._reader = threading.Thread(target=self.lines.extend, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def ctl(self, *arguments: str, configuration: Path = CONFIGURATION) -> subprocess.CompletedProcess[str]:
        """Run supervisorctl to its end."""
        return subprocess.run(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(configuration), *arguments],
            env=self._variables,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def call(self, method: str, *arguments: object) -> Any:
        """Call supervisord's XML-RPC interface."""
        transport = SupervisorTransport(None, None, f"unix://{self.run}/supervisor.sock")
        try:
            return getattr(ServerProxy("http://localhost", transport=transport).supervisor, method)(
                *arguments
            )
        finally:
            transport.close()

    def answers(self) -> bool:
        """Whether supervisord is there and runs its programs."""
        assert self.process.poll() is None, b"".join(self.lines).decode()
        try:
            return bool(self.call("getState")["statename"] == "RUNNING")
        except (OSError, http.client.HTTPException, Fault):
            return False

    def in_state(self, name: str, state: str) -> int:
        """Wait until the process is in this state and give its pid."""

        def look() -> dict[str, Any] | None:
            info: dict[str, Any] = self.call("getProcessInfo", name)
            return info if info["statename"] == state else None

        info = until(look, f"{name} {state}")
        assert info
        return int(info["pid"])

    def pid(self, name: str) -> int:
        """Wait until the process runs and give its pid."""
        return self.in_state(name, "RUNNING")

    def another_pid(self, name: str, old: int) -> int:
        """Wait until another process runs under this name and give its pid."""
        return until(lambda: pid if (pid := self.pid(name)) != old else 0, f"another {name}")

    def messages(self, **wanted: object) -> list[str]:
        """The messages of the lines that have these fields."""
        lines = [json.loads(line) for line in list(self.lines)]
        return [line["message"] for line in lines if wanted.items() <= line.items()]

    def says(self, text: str, **wanted: object) -> str:
        """Wait for a line with this text."""
        return until(
            lambda: next((message for message in self.messages(**wanted) if text in message), ""),
            f"the line {text!r}",
        )

    def wait(self) -> int:
        """Wait for its end and give the exit code."""
        code = self.process.wait(DEADLINE)
        if self._reader:
            self._reader.join(DEADLINE)
        return code

    def stop(self) -> int:
        """End it in order and give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process is None:
            return
        if self.process.poll() is None:
            self._end()
        remains = self._remains()
        for process in remains:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(remains, DEADLINE)
        self.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def _end(self) -> None:
        """End supervisord in order where it can, else together with its children."""
        self.process.terminate()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._kill()

    def _kill(self) -> None:
        supervisord = psutil.Process(self.process.pid)
        supervisord.suspend()  # What stands still forks no more.
        for child in supervisord.children(recursive=True):
            for kill in (os.kill, os.killpg):
                with suppress(ProcessLookupError):
                    kill(child.pid, signal.SIGKILL)
        supervisord.kill()

    def _remains(self) -> list[psutil.Process]:
        """The processes with this stack's environment, orphans too."""
        return [
            process
            for process in psutil.process_iter(["environ"])
            if (process.info["environ"] or {}).get("RUN_DIR") == str(self.run)
        ]
