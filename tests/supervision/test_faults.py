"""Nothing that goes wrong around the plugin ends supervision."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from supervisor.events import ProcessLogStdoutEvent, clear, notify
from supervisor.loggers import LogRecord
from supervisor.states import ProcessStates, SupervisorStates

from app.supervision.escalation import Escalation
from app.supervision.journal import Journal
from app.supervision.plugin import make_plugin
from tests.supervision.stack import Stack, until


@pytest.fixture
def said() -> list[bytes]:
    return []


@pytest.fixture
def journal(said: list[bytes]) -> Journal:
    return Journal(said.append, reopen=lambda: None, end=lambda: None)


def fatal_process() -> SimpleNamespace:
    process = SimpleNamespace(config=SimpleNamespace(name="api"), state=ProcessStates.FATAL)
    process.group = SimpleNamespace(config=SimpleNamespace(name="api"), processes={"api": process})
    return process


def escalation(journal: Journal, marker: Path, mood: int) -> Escalation:
    options = SimpleNamespace(mood=mood)
    return Escalation(options, journal, marker=marker, critical=frozenset({"api"}), grace=0)


def test_a_marker_that_cannot_be_written_does_not_stop_the_escalation(
    journal: Journal, said: list[bytes], tmp_path: Path
) -> None:
    made = escalation(journal, tmp_path / "gone" / "fatal", SupervisorStates.RUNNING)
    made.fatal(fatal_process(), "it is broken")
    made.tick()
    assert made.exit_code == 70
    assert any(b"could not be written" in line for line in said)


def test_a_program_that_is_fatal_because_everything_stops_is_no_fault(
    journal: Journal, said: list[bytes], tmp_path: Path
) -> None:
    made = escalation(journal, tmp_path / "fatal", SupervisorStates.SHUTDOWN)
    made.fatal(fatal_process(), "it was waiting for its next try")
    assert (made.exit_code, said) == (0, [])


def test_a_second_fatal_program_does_not_begin_the_grace_anew(
    journal: Journal, said: list[bytes], tmp_path: Path
) -> None:
    made = escalation(journal, tmp_path / "fatal", SupervisorStates.RUNNING)
    for _ in range(2):
        made.fatal(fatal_process(), "it is broken")
    assert len(said) == 1


def test_a_record_that_cannot_be_formatted_is_told(journal: Journal, said: list[bytes]) -> None:
    journal.emit(LogRecord(20, "%(missing)s", other=1))
    assert "could not be read" in json.loads(said[0])["message"]


def test_an_error_in_the_plugin_is_logged_and_goes_no_further(tmp_path: Path) -> None:
    file = tmp_path / "log"
    options = SimpleNamespace(waitpid=None, fork=None, mood=SupervisorStates.RUNNING)
    clear()
    try:
        plugin = make_plugin(
            SimpleNamespace(options=options),
            run_dir=str(tmp_path),
            log_file=str(file),
            critical="",
            fatal_grace="0",
            watchdog_timeout="5",
            preload="",
        )
        notify(ProcessLogStdoutEvent(SimpleNamespace(pid=1), 1, b"a process without a configuration"))
        plugin._end()
    finally:
        clear()
    until(lambda: "supervision: AttributeError" in file.read_text())


def test_the_stack_ends_while_a_program_waits_for_its_next_try(stack: Stack) -> None:
    stack.program("api", "leave", 3, startsecs=60, startretries=99)
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=0)
    until(lambda: stack.call("getProcessInfo", "api")["statename"] == "BACKOFF")
    assert stack.stop() == 0


def test_a_program_file_that_is_not_there_is_told(stack: Stack) -> None:
    stack.program("api", "stay")
    stack.start(HOLDFAST_PROGRAMS=f"{stack.folder}/api.conf {stack.folder}/nothing.conf")
    stack.says("No file matches", level="WARNING")
