"""Programs that live but do nothing are found."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from supervisor.states import ProcessStates

from app.supervision.journal import Journal
from app.supervision.watchdog import Watchdog
from tests.supervision.stack import Stack


def test_a_program_that_stands_still_is_killed_and_started_again(stack: Stack) -> None:
    heartbeat = stack.run / "heartbeats" / "worker"
    stack.program(
        "worker", "beat_and_freeze", autorestart="true", environment=f'HEARTBEAT_FILE="{heartbeat}"'
    )
    stack.start(WATCHDOG_TIMEOUT=2)
    old = stack.pid("worker")
    assert stack.another_pid("worker", old)
    assert "has completed no cycle for" in stack.says(f"worker (pid {old})", level="ERROR")


def test_a_program_without_a_heartbeat_file_is_left_alone(stack: Stack) -> None:
    stack.program("postgres", "stay")
    stack.program("worker", "stay", environment=f'HEARTBEAT_FILE="{stack.run}/heartbeats/worker"')
    stack.start(WATCHDOG_TIMEOUT=0.5)
    server = stack.pid("postgres")
    stack.says("worker (pid")
    assert stack.pid("postgres") == server


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def said() -> list[bytes]:
    return []


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    pids: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _signal: pids.append(pid))
    return pids


@pytest.fixture
def process(tmp_path: Path) -> SimpleNamespace:
    environment = {"HEARTBEAT_FILE": str(tmp_path / "worker")}
    config = SimpleNamespace(name="worker", environment=environment)
    return SimpleNamespace(config=config, state=ProcessStates.RUNNING, pid=4_000_000)


@pytest.fixture
def watchdog(time: Time, said: list[bytes]) -> Watchdog:
    journal = Journal(said.append, reopen=lambda: None, end=lambda: None)
    return Watchdog(10, journal, clock=time)


def look(watchdog: Watchdog, time: Time, process: SimpleNamespace, *, seconds: int) -> None:
    for _ in range(seconds):
        time.now += 1
        watchdog.look([process])


def test_silence_for_longer_than_the_timeout_kills(
    watchdog: Watchdog, time: Time, process: SimpleNamespace, killed: list[int], tmp_path: Path
) -> None:
    (tmp_path / "worker").touch()
    look(watchdog, time, process, seconds=11)
    assert killed == []
    look(watchdog, time, process, seconds=1)
    assert killed == [4_000_000]


def test_each_cycle_begins_the_count_anew(
    watchdog: Watchdog, time: Time, process: SimpleNamespace, killed: list[int], tmp_path: Path
) -> None:
    for cycle in range(5):
        (tmp_path / "worker").touch()
        os.utime(tmp_path / "worker", ns=(cycle, cycle))
        look(watchdog, time, process, seconds=9)
    assert killed == []


def test_the_first_cycle_has_twice_the_time(
    watchdog: Watchdog, time: Time, process: SimpleNamespace, killed: list[int]
) -> None:
    look(watchdog, time, process, seconds=21)
    assert killed == []
    look(watchdog, time, process, seconds=1)
    assert killed == [4_000_000]


def test_another_process_of_the_name_begins_the_count_anew(
    watchdog: Watchdog, time: Time, process: SimpleNamespace, killed: list[int]
) -> None:
    look(watchdog, time, process, seconds=20)
    process.pid += 1
    look(watchdog, time, process, seconds=20)
    assert killed == []


def test_a_pause_of_everything_is_not_blamed_on_a_program(
    watchdog: Watchdog, time: Time, process: SimpleNamespace, killed: list[int], tmp_path: Path
) -> None:
    (tmp_path / "worker").touch()
    look(watchdog, time, process, seconds=5)
    time.now += 3600
    look(watchdog, time, process, seconds=3)
    assert killed == []


def test_a_program_that_is_stopping_is_left_alone(
    watchdog: Watchdog, time: Time, process: SimpleNamespace, killed: list[int]
) -> None:
    process.state = ProcessStates.STOPPING
    look(watchdog, time, process, seconds=60)
    assert killed == []


def test_a_process_that_ended_meanwhile_is_no_fault(
    watchdog: Watchdog, time: Time, process: SimpleNamespace, said: list[bytes]
) -> None:
    look(watchdog, time, process, seconds=25)  # no process has that pid
    assert any(b"could not be killed" in line for line in said)
