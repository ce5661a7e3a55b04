"""A program to supervise: does one small thing, chosen by its first argument."""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from types import FrameType
from typing import NoReturn


def pause() -> NoReturn:
    """Wait for a signal."""
    while True:
        signal.pause()


def stay(*lines: str) -> None:
    """Say each line and stay."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
    pause()


def leave(code: str, seconds: str = "0", *lines: str) -> None:
    """Say each line on standard error and end."""
    for line in lines:
        sys.stderr.write(line + "\n")
    time.sleep(float(seconds))
    sys.exit(int(code))


def partial() -> None:
    """End in the middle of a line."""
    sys.stdout.write("half a li")
    sys.stdout.flush()


def crash() -> None:
    """End with a traceback."""
    raise RuntimeError("the toy is broken")


def spew(lines: str, done: str) -> None:
    """Write so many lines of 900 bytes, say that it is done, and stay."""
    for _ in range(int(lines)):
        sys.stdout.write("x" * 900 + "\n")
    sys.stdout.flush()
    Path(done).touch()
    pause()


def slow_stop(together: str, journal: str) -> None:
    """Note when its stop began and ended, which it does once so many programs were told to stop."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        note(journal, "stopping")
        while Path(journal).read_text().count('"stopping"') < int(together):
            time.sleep(0.05)
        note(journal, "stopped")
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    note(journal, "started")
    pause()


def parent(pids: str) -> None:
    """Fork a child that ignores all it can, write down its pid, and stay."""
    child = os.fork()
    if child == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        pause()
    with Path(pids).open("a") as file:
        file.write(f"{child}\n")
    pause()


def note(journal: str, word: str) -> None:
    """Append a word under this process's name."""
    with Path(journal).open("a") as file:
        file.write(json.dumps([os.environ["SUPERVISOR_PROCESS_NAME"], word]) + "\n")


def beat(seconds: str = "0.2", code: str = "") -> None:
    """Complete a cycle now and then, or one and end."""
    while True:
        Path(os.environ["HEARTBEAT_FILE"]).touch()
        time.sleep(float(seconds))
        if code:
            sys.exit(int(code))


def beat_and_freeze() -> None:
    """Complete one cycle, and hear nothing any more."""
    Path(os.environ["HEARTBEAT_FILE"]).touch()
    os.kill(os.getpid(), signal.SIGSTOP)


class Answer(BaseHTTPRequestHandler):
    """Answers with the status that a file holds, 200 without it."""

    def do_GET(self) -> None:
        """Serve a probe."""
        path = Path(os.environ["STATUS_FILE"])
        self.send_response(int(path.read_text()) if path.exists() else 200)
        self.end_headers()

    def address_string(self) -> str:
        """A unix socket has no address."""
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def ready() -> None:
    """Answer on the process's own unix socket."""
    path = os.environ["OWN_SOCKET"]
    Path(path).unlink(missing_ok=True)
    with UnixStreamServer(path, Answer) as server:
        server.serve_forever()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
