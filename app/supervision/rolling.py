"""``supervisorctl rolling api``: replaces the processes of a program one by one, with no failed request."""

import http.client
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from xmlrpc.client import Fault

from supervisor.states import RUNNING_STATES, ProcessStates
from supervisor.supervisorctl import ControllerPluginBase, LSBInitExitStatuses

READY_PATH: Final = "/health/ready"
_ASK_TIMEOUT: Final = 5.0
_PAUSE: Final = 0.1
_BREATH: Final = 1.0
_ASKED: Final = 5
"""How often the others are asked: on a busy machine one answer may come too late, or a database's."""


class Stopped(Exception):
    """The rollout cannot go on. The message says why."""


def make_rolling(controller: Any, run_dir: str, timeout: str = "60") -> "Rolling":
    """Build the command; supervisorctl calls this.

    Args:
        controller: supervisorctl.
        run_dir: the folder of the processes' own sockets.
        timeout: seconds that each new process has to become ready.
    """
    return Rolling(controller, run_dir=Path(run_dir), timeout=float(timeout))


def is_ready(path: Path) -> bool:
    """Ask the process behind this unix socket, and no other one, whether it is ready."""
    connection = http.client.HTTPConnection("localhost", timeout=_ASK_TIMEOUT)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(_ASK_TIMEOUT)
        connection.sock.connect(str(path))
        connection.request("GET", READY_PATH, headers={"Connection": "close"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Rolling(ControllerPluginBase):  # type: ignore[misc] # supervisor has no types
    """The command itself. Each new process must prove that it is ready before the next old one is stopped."""

    name = "rolling"

    def __init__(self, controller: Any, *, run_dir: Path, timeout: float) -> None:
        self.ctl = controller
        self._run_dir = run_dir
        self._timeout = timeout

    def do_rolling(self, argument: str) -> None:
        """Replace every process of the named program, or stop at the first fault with exit status 1."""
        programs = argument.split()
        if len(programs) != 1:
            self.help_rolling()
            self.ctl.exitstatus = LSBInitExitStatuses.INVALID_ARGS
            return
        if not self.ctl.upcheck():
            return
        try:
            self._roll(programs[0])
        except (Stopped, Fault) as reason:
            self.ctl.output(f"{programs[0]}: ERROR ({getattr(reason, 'faultString', reason)})")
            self.ctl.exitstatus = LSBInitExitStatuses.GENERIC

    def help_rolling(self) -> None:
        """Say how it is used."""
        self.ctl.output("rolling <program>\tReplace a program's processes one by one, with no failed request")

    def _roll(self, program: str) -> None:
        supervisor = self.ctl.get_supervisor()
        names = [info["name"] for info in supervisor.getAllProcessInfo() if info["group"] == program]
        if not names:
            raise Stopped("no such program")
        if len(names) == 1:
            raise Stopped("it has only one process, and nothing would serve meanwhile: use restart")
        # A process that is not ready serves nobody: it is the first to go.
        for name in sorted(names, key=lambda name: is_ready(self._socket(name))):
            self._check_others(names, name)
            self._replace(supervisor, program, name)

    def _check_others(self, names: list[str], leaving: str) -> None:
        others = [self._socket(name) for name in names if name != leaving]
        for asked in range(_ASKED):
            if asked:
                time.sleep(_BREATH)
            if any(map(is_ready, others)):
                return
        raise Stopped(f"no process but {leaving} is ready, so it is left as it is")

    def _replace(self, supervisor: Any, program: str, name: str) -> None:
        started = time.monotonic()
        full_name = f"{program}:{name}"
        if supervisor.getProcessInfo(full_name)["state"] in RUNNING_STATES:
            supervisor.stopProcess(full_name)
        supervisor.startProcess(full_name, False)
        if fault := self._await_ready(supervisor, full_name, self._socket(name)):
            # Left alone it would go on failing, and in the end count as FATAL.
            _quietly(supervisor.stopProcess, full_name)
            raise Stopped(
                f"the new {name} {fault}; it is stopped now, and the others go on serving as they are"
            )
        self.ctl.output(f"{full_name}: replaced in {time.monotonic() - started:.1f} s")

    def _await_ready(self, supervisor: Any, full_name: str, path: Path) -> str:
        """Wait until the new process is ready; else say what is wrong."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            state = supervisor.getProcessInfo(full_name)
            if state["state"] not in (ProcessStates.STARTING, ProcessStates.RUNNING):
                return f"did not stay up ({state['statename']})"
            if is_ready(path):
                return ""
            time.sleep(_PAUSE)
        return f"was not ready within {self._timeout:g} s"

    def _socket(self, name: str) -> Path:
        return self._run_dir / f"{name}.sock"


def _quietly(call: Callable[[str], object], name: str) -> None:
    try:
        call(name)
    except Fault:
        return  # it has ended by itself
