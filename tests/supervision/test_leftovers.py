"""What a program leaves behind does not run beside its successor."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from app.supervision.journal import Journal
from app.supervision.leftovers import end_leftovers
from tests.supervision.stack import Stack, until


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def child(pids: Path, number: int) -> int:
    """The pid of the child of the numberth start."""
    return until(
        lambda: int(lines[number]) if pids.exists() and len(lines := pids.read_text().split()) > number else 0
    )


@pytest.mark.parametrize("startsecs", [0, 60])
def test_children_of_a_killed_program_are_killed(stack: Stack, startsecs: int) -> None:
    pids = stack.folder / "pids"
    stack.program("worker", "parent", pids, startsecs=startsecs)
    stack.start()
    left = child(pids, 0)
    os.kill(psutil.Process(left).ppid(), signal.SIGKILL)
    until(lambda: is_gone(left))
    stack.says("left behind was killed")
    assert child(pids, 1) != left


def test_children_of_a_stopped_program_are_killed(stack: Stack) -> None:
    pids = stack.folder / "pids"
    stack.program("worker", "parent", pids)
    stack.start()
    left = child(pids, 0)
    stack.call("stopProcess", "worker")
    until(lambda: is_gone(left))


def test_a_program_that_leaves_nothing_is_not_spoken_of(stack: Stack) -> None:
    stack.program("plain", "stay", "hello")
    stack.start()
    stack.says("hello")
    os.kill(stack.pid("plain"), signal.SIGKILL)
    until(lambda: len(stack.messages(logger="plain")) == 2)
    assert stack.stop() == 0
    assert not [message for message in stack.messages() if "left behind" in message]


def test_what_may_not_be_killed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    said: list[bytes] = []
    process = SimpleNamespace(pid=2, config=SimpleNamespace(name="worker"))
    end_leftovers(process, Journal(said.append, reopen=lambda: None, end=lambda: None))
    assert b"another user" in said[0]


@pytest.mark.parametrize("pid", [0, 1])
def test_no_process_means_no_group(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "killpg", lambda *_given: pytest.fail("it would hit supervisord itself"))
    end_leftovers(
        SimpleNamespace(pid=pid), Journal(lambda _line: None, reopen=lambda: None, end=lambda: None)
    )
