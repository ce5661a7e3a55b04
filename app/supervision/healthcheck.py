"""Whether this container lives, for its HEALTHCHECK. Exit code 0 or 1, and one line that says why.

Started as a file of its own by ``python -I -S healthcheck.py``, every half a minute: the standard library
only, and as little of it as will do. Like ``/health/live`` it blames no program for a database that is away.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

ANSWER_SECONDS = 5.0
READ_BYTES = 4096
UNHEALTHY = 1


class UnhealthyError(Exception):
    """What is wrong."""


def check(run: Path, silence: float) -> str:
    """Ask every program that supervisord runs here.

    Args:
        run: the run folder.
        silence: seconds after which a worker or beat without a completed cycle counts as dead.

    Raises:
        UnhealthyError: a program is gone, or does not answer.
    """
    if (run / "fatal").exists():
        raise UnhealthyError("a program cannot be started")
    programs = running(run)
    for program, names in sorted(programs.items()):
        if program == "api":
            answers(run, names)
        else:
            for name in names:
                completes(run / "heartbeats" / name, silence)
    return f"alive: {', '.join(sorted(programs))}"


def running(run: Path) -> dict[str, list[str]]:
    """Each program's processes, as supervisord notes them."""
    try:
        rows = json.loads((run / "processes.json").read_text("utf-8"))["processes"]
    except (OSError, ValueError, KeyError) as error:
        raise UnhealthyError("supervisord has not started its programs") from error
    programs: dict[str, list[str]] = {}
    for row in rows:
        programs.setdefault(row["program"], []).append(row["name"])
    return programs


def answers(run: Path, names: list[str]) -> None:
    """One process of the API that answers is enough: a rollout replaces them one by one."""
    if not any(is_live(str(run / f"{name}.sock")) for name in names):
        raise UnhealthyError("no process of the API answers")


def is_live(path: str) -> bool:
    """Whether ``GET /health/live`` on a process's own socket is answered with 200."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(path)
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(READ_BYTES).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False


def completes(heartbeat: Path, silence: float) -> None:
    """The supervisor's watchdog restarts what completes no cycle; this tells where even that is no help."""
    try:
        age = time.time() - heartbeat.stat().st_mtime
    except OSError as error:
        raise UnhealthyError(f"{heartbeat.name} has completed no cycle") from error
    if age > silence:
        raise UnhealthyError(f"{heartbeat.name} has completed no cycle for {age:.0f} s")


def check_alone(heartbeat: Path, silence: float) -> str:
    """Judge the one program of a container without supervisord by its heartbeat file.

    Raises:
        UnhealthyError: it has completed no cycle, or none for too long.
    """
    completes(heartbeat, silence)
    return f"alive: {heartbeat.name}"


def main() -> int:
    """Check by the environment of the container; that of one without supervisord names a heartbeat file."""
    silence = 3 * float(os.environ.get("WATCHDOG_TIMEOUT") or 30)
    alone = os.environ.get("HEARTBEAT_FILE")
    try:
        said = check_alone(Path(alone), silence) if alone else check(Path(os.environ["RUN_DIR"]), silence)
        code = 0
    except UnhealthyError as error:
        said, code = str(error), UNHEALTHY
    sys.stdout.write(f"{said}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
