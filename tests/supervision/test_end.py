"""How the stack ends: in order, in time, and with a code that tells why."""

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from tests.supervision.stack import Stack, is_alive, until


def words(journal: Path) -> list[tuple[str, str]]:
    return [tuple(json.loads(line)) for line in journal.read_text().splitlines()]


def failing(broken: Path) -> str:
    """The command of a program that stays, or ends with 3 where there is a file of this name."""
    return f"/bin/sh -c '[ -e {broken} ] || exec sleep 600; exit 3'"


def test_programs_stop_together_and_the_data_servers_after_them(stack: Stack) -> None:
    """C2: api, worker and beat in parallel, then redis and postgres: none ends before those with it begin."""
    journal = stack.folder / "journal"
    for name in ("api", "worker", "beat"):
        stack.program(name, "slow_stop", 3, journal, priority=100, stopwaitsecs=50)
    for name in ("postgres", "redis"):
        stack.program(name, "slow_stop", 5, journal, priority=10, stopwaitsecs=50)
    stack.start()
    until(lambda: journal.exists() and len(words(journal)) == 5, "all started")
    assert stack.stop() == 0
    ended = words(journal)[5:]
    application = {(name, word) for name in ("api", "worker", "beat") for word in ("stopping", "stopped")}
    assert set(ended[:6]) == application
    assert {word for _, word in ended[:3]} == {"stopping"}
    assert {word for _, word in ended[6:8]} == {"stopping"}


def test_sigterm_ends_with_0_and_leaves_no_process(stack: Stack) -> None:
    stack.program("one", "stay")
    stack.program("two", "stay")
    stack.start()
    pids = [stack.pid("one"), stack.pid("two")]
    assert stack.stop() == 0
    assert not any(is_alive(pid) for pid in pids)
    assert not (stack.run / "supervisor.sock").exists()


def test_a_fatal_critical_program_is_announced_and_ends_the_stack_with_70(stack: Stack) -> None:
    """C1: an orchestrator notices."""
    broken = stack.folder / "broken"
    stack.program("worker", command=failing(broken), startsecs=1, startretries=0)
    stack.program("api", "stay")
    stack.start(HOLDFAST_CRITICAL="api,worker", FATAL_GRACE=2)
    api = stack.pid("api")
    worker = stack.pid("worker")
    broken.touch()
    os.kill(worker, signal.SIGKILL)
    until((stack.run / "fatal").exists)
    marker = json.loads((stack.run / "fatal").read_text())
    assert marker["program"] == marker["process"] == "worker"
    assert "exit status 3" in marker["reason"]
    assert marker["time"]
    assert stack.wait() == 70
    assert not is_alive(api)
    assert "ends in 2 s with exit code 70" in stack.says("critical program worker", level="CRITICAL")


def test_a_fatal_program_that_is_not_critical_ends_nothing(stack: Stack) -> None:
    stack.program("extra", "leave", 3, startsecs=60, startretries=0)
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=0)
    stack.says("extra is FATAL", level="CRITICAL")
    assert not (stack.run / "fatal").exists()
    assert stack.stop() == 0


def test_a_fatal_process_whose_twin_runs_ends_nothing_until_that_is_fatal_too(stack: Stack) -> None:
    script = stack.folder / "script"
    script.write_text(f"[ -e {stack.folder}/broken-$1 ] || exec sleep 600; exit 3\n")
    stack.program(
        "api",
        command=f"/bin/sh {script} %(process_num)d",
        process_name="api-%(process_num)d",
        numprocs=2,
        startsecs=1,
        startretries=0,
    )
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=0)
    for number in range(2):
        pid = stack.pid(f"api:api-{number}")
        assert stack.pid("api:api-1")
        (stack.folder / f"broken-{number}").touch()
        os.kill(pid, signal.SIGKILL)
        stack.says(f"api-{number} is FATAL", level="CRITICAL")
    assert stack.wait() == 70


def test_the_marker_of_an_earlier_run_is_removed(stack: Stack) -> None:
    (stack.run / "fatal").write_text("{}")
    stack.program("api", "stay")
    stack.start(HOLDFAST_CRITICAL="api")
    assert not (stack.run / "fatal").exists()


def test_a_wrong_configuration_is_not_tried_again(stack: Stack) -> None:
    stack.program("api", "leave", 78, 0, "configuration: PORT: is missing", startsecs=60, startretries=99)
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=0, wait=False)
    assert stack.wait() == 70
    assert len(stack.messages(level="ERROR", logger="api")) == 1


def test_a_program_that_fails_late_in_its_start_goes_fatal_too(stack: Stack) -> None:
    """supervisord itself would restart it for ever, for it outlives startsecs."""
    stack.program(
        "api", "leave", 3, 0.3, startretries=1, environment=f'HEARTBEAT_FILE="{stack.run}/heartbeats/api"'
    )
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=0, wait=False)
    assert stack.wait() == 70


def test_a_program_that_worked_is_restarted_at_once_however_often_it_dies(stack: Stack) -> None:
    stack.program(
        "api",
        "beat",
        0.1,
        3,
        startretries=1,
        autorestart="true",
        environment=f'HEARTBEAT_FILE="{stack.run}/heartbeats/api"',
    )
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=0)
    until(lambda: len([m for m in stack.messages() if m.startswith("exited: api")]) > 5)
    assert stack.process.poll() is None
    assert stack.stop() == 0


def test_a_killed_process_is_replaced(stack: Stack) -> None:
    stack.program("api", "stay", autorestart="true")
    stack.start()
    old = stack.pid("api")
    os.kill(old, signal.SIGKILL)
    assert stack.another_pid("api", old)


def test_the_table_of_processes_follows_their_states(stack: Stack) -> None:
    stack.program("api", "stay", autorestart="true")
    stack.start()
    old = stack.pid("api")
    os.kill(old, signal.SIGKILL)
    new = stack.another_pid("api", old)

    def row() -> dict[str, object] | None:
        file = stack.run / "processes.json"
        rows: list[dict[str, object]] = json.loads(file.read_text())["processes"] if file.exists() else []
        return next((row for row in rows if row["pid"] == new and row["state"] == "RUNNING"), None)

    found = until(row)
    assert found
    assert (found["name"], found["program"], found["restarts"]) == ("api", "api", 1)
    assert datetime.fromisoformat(str(found["started_at"])) <= datetime.now(UTC)


def test_a_stopped_program_has_no_pid_in_the_table(stack: Stack) -> None:
    stack.program("api", "stay")
    stack.start()
    stack.pid("api")
    stack.call("stopProcess", "api")

    def rows() -> list[dict[str, object]]:
        file = stack.run / "processes.json"
        rows: list[dict[str, object]] = json.loads(file.read_text())["processes"] if file.exists() else []
        return [row for row in rows if row["state"] == "STOPPED"]

    (row,) = until(rows)
    assert (row["pid"], row["started_at"]) == (None, None)
