"""A headless Chromium, told what to do over a pipe by the DevTools protocol."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from tests.servers import DEADLINE, wait_for

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-breakpad", "--mute-audio", "--remote-debugging-pipe"),
)
# The browser reads from descriptor 3 and writes to 4, whichever they are here.
_START: Final = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


def find_browser() -> str | None:
    """The path of a Chromium, if there is one on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page, and what happened to it."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer = b""
        self._last = 0
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command; gives its result."""
        self._last += 1
        command = {"id": self._last, "method": method, "params": params} | self._session
        os.write(self._writing, json.dumps(command).encode() + b"\0")
        while (message := self._receive()).get("id") != self._last:
            self.events.append(message)
        assert "error" not in message, (method, message["error"])
        result: dict[str, Any] = message["result"]
        return result

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, as if somebody had clicked for it; a promise is waited for."""
        done = self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, expression: str, *, timeout: float = DEADLINE) -> None:
        """Wait until an expression is true."""
        wait_for(lambda: self.evaluate(f"Boolean({expression})"), timeout=timeout, what=expression)

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in a field of a form."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def happened(self, method: str) -> list[dict[str, Any]]:
        """The events of this name, so far."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + DEADLINE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], max(end - time.monotonic(), 0))
            data = os.read(self._reading, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError("the browser said nothing" if not ready else "the browser has ended")
            self._buffer += data
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message


@contextmanager
def browsing(program: str, folder: Path) -> Iterator[Page]:
    """A page in a browser of its own, which has its profile and its log in this folder."""
    commands, writing = os.pipe()
    reading, answers = os.pipe()
    # Out of the way of 3 and 4, which they become one after the other.
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, answers)]
    os.close(commands)
    os.close(answers)
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _START,
                *map(str, ends),
                program,
                *FLAGS,
                f"--user-data-dir={folder}/profile",
            ],
            pass_fds=ends,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    for end in ends:
        os.close(end)
    try:
        yield Page(reading, writing)
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        # Without its pipe it ends by itself.
        os.close(writing)
        os.close(reading)
        _, alive = psutil.wait_procs(family, timeout=10)
        for member in alive:
            member.kill()
        process.wait(DEADLINE)
