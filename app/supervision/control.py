"""Starting, asking and stopping a stack from outside."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn, cast
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from app.core.commands import command
from app.core.heartbeat import age
from app.supervision import stops
from app.supervision.environment import CONFIGURATION, client_configuration, link_client_configuration
from app.supervision.state import State

CYCLE_SECONDS: Final = 60.0
"""How long a program that was started anew may take until its first completed cycle."""


class StackError(Exception):
    """The stack did not do what was asked; the message says what to look at."""


class StackEndingError(StackError):
    """supervisord answers that it is shutting down, and does nothing else any more."""


def supervisord_command() -> list[str]:
    """supervisord on this project's configuration."""
    return [sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)]


@contextmanager
def supervisor_api(state: State) -> Iterator[Any]:
    """supervisord's XML-RPC interface over its unix socket.

    Raises:
        StackError: nobody listens there.
        StackEndingError: it is shutting down.
    """
    transport = SupervisorTransport(None, None, f"unix://{state.control_socket}")
    proxy = ServerProxy("http://localhost", transport=cast("Any", transport))
    try:
        yield proxy.supervisor
    except (TimeoutError, ConnectionError, FileNotFoundError) as error:
        raise StackError(f"the stack is not running: start it with {command('up')}") from error
    except http.client.HTTPException as error:
        raise StackError(f"supervisord did not answer: {error!r}") from error
    except Fault as error:
        if error.faultCode != Faults.SHUTDOWN_STATE:
            raise
        raise StackEndingError("the stack is just stopping: try again when it has ended") from error
    finally:
        transport.close()


def running_pid(state: State) -> int | None:
    """The process id of the supervisord that answers, be it that it is shutting down, or None."""
    try:
        with supervisor_api(state) as supervisor:
            return int(supervisor.getPID())
    except StackEndingError:
        with suppress(OSError, ValueError):
            return int((state.run / "supervisord.pid").read_text())
        return None
    except StackError:
        return None


def process_info(state: State) -> list[dict[str, Any]]:
    """What supervisord says of each process."""
    with supervisor_api(state) as supervisor:
        return cast("list[dict[str, Any]]", supervisor.getAllProcessInfo())


def write_client_configuration(state: State) -> Path | None:
    """Write what ``supervisorctl`` reads, and link it where the plain command looks."""
    state.client_configuration.write_text(client_configuration(state), "utf-8")
    return link_client_configuration(state)


def start_in_background(state: State, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own; what it says before its log is open goes to a file."""
    with (state.logs / "supervisord.err").open("wb") as errors:
        return subprocess.Popen(
            supervisord_command(),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )


def become_supervisord(environment: dict[str, str]) -> NoReturn:
    """Replace this process by supervisord, as a container's first process."""
    argv = supervisord_command()
    stops.hold()
    os.execve(argv[0], argv, environment)  # noqa: S606 - no shell is wanted


def is_ready(host: str, port: int, *, timeout: float = 2.0) -> bool:
    """Whether ``GET /health/ready`` answers 200."""
    target = "127.0.0.1" if host in {"0.0.0.0", ""} else host  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(target, port, timeout=timeout)
    try:
        connection.request("GET", "/health/ready", headers={"Connection": "close"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_listening(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    target = "127.0.0.1" if host in {"0.0.0.0", ""} else host  # noqa: S104 - compared, not bound
    with suppress(OSError), socket.create_connection((target, port), timeout=2):
        return True
    return False


def end(process: subprocess.Popen[bytes], *, timeout: float) -> int:
    """Stop a supervisord that was started here, in order; gives its exit code.

    Raises:
        StackError: it was still there after ``timeout`` seconds.
    """
    process.terminate()
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise StackError(f"supervisord (process {process.pid}) still runs: see {command('logs')}") from error


def all_running(state: State) -> bool:
    """Whether every program is RUNNING."""
    try:
        return all(info["statename"] == "RUNNING" for info in process_info(state))
    except StackError:
        return False


def wait_until(
    condition: Callable[[], bool], alive: Callable[[], bool], *, timeout: float, interval: float = 0.05
) -> bool:
    """Ask until the condition holds; gives up when ``alive`` is false or after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if not alive() or time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


def stop(state: State, *, timeout: float) -> bool:
    """Stop the stack in order and wait for its end.

    Gives whether one ran.

    Raises:
        StackError: it was still there after ``timeout`` seconds.
    """
    pid = running_pid(state)
    if pid is None:
        return False
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(pid, signal.SIGTERM)
    if not wait_until(lambda: not is_alive(pid), lambda: True, timeout=timeout):
        raise StackError(f"supervisord (process {pid}) still runs after {timeout:g} s: see {command('logs')}")
    return True


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def restart_program(state: State, group: str) -> None:
    """Stop and start every process of a group, in order.

    Raises:
        StackError: it did not start again.
    """
    begin = time.time()
    with supervisor_api(state) as supervisor:
        try:
            supervisor.stopProcessGroup(group, True)
            answers = supervisor.startProcessGroup(group, True)
        except Fault as error:
            raise StackError(f"{group} did not restart: {error.faultString}") from error
    failed = [answer["description"] for answer in answers if answer["status"] != Faults.SUCCESS]
    names = [info["name"] for info in process_info(state) if info["group"] == group]
    if failed or not wait_until(
        lambda: all(_completed_a_cycle(state, name, begin) for name in names),
        lambda: True,
        timeout=CYCLE_SECONDS,
    ):
        reason = f" ({', '.join(failed)})" if failed else ""
        raise StackError(f"{group} did not start again{reason}: see {command('logs')}")


def _completed_a_cycle(state: State, name: str, since: float) -> bool:
    young = age(state.run / "heartbeats" / name)
    return young is not None and young < time.time() - since
