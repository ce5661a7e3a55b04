"""The tests' own stack leaves no process behind."""

import os
import signal

import pytest

from tests.supervision import stack as module
from tests.supervision.stack import Stack, is_alive, until


def started(stack: Stack) -> list[int]:
    """The pids of a program and of its child, which ignores all it can."""
    pids = stack.folder / "pids"
    stack.program("parent", "parent", pids)
    stack.start()
    until(lambda: pids.exists() and pids.read_text().endswith("\n"), "the child")
    return [stack.pid("parent"), int(pids.read_text())]


def test_what_runs_ends(stack: Stack) -> None:
    pids = started(stack)
    stack.close()
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of all")


def test_what_an_unresponsive_supervisord_runs_ends(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 0.2)
    pids = started(stack)
    os.kill(stack.process.pid, signal.SIGSTOP)
    stack.close()
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of all")


def test_what_a_killed_supervisord_ran_ends(stack: Stack) -> None:
    pids = started(stack)
    stack.process.kill()
    stack.process.wait()
    stack.close()
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of all")
