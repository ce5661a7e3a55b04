"""What a killed supervisord leaves running is ended, and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.supervision import orphans
from app.supervision.orphans import end_orphans
from app.supervision.state import State

Toy = subprocess.Popen[bytes]
Start = Callable[..., Toy]

STAY = "import signal; print(flush=True); signal.pause()"
TELL = """import signal, sys
def tell(number, _frame):
    open(sys.argv[1], "a").write(f"{number} ")
    sys.exit()
for number in (2, 15): signal.signal(number, tell)
print(flush=True)
signal.pause()"""
DEAF = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True)\nwhile True: signal.pause()"


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state", tmp_path / "run")
    made.prepare()
    return made


@pytest.fixture
def start(state: State) -> Iterator[Start]:
    """Start a toy process in a group of its own, and note it as the plugin would."""
    rows: list[dict[str, object]] = []
    toys: list[Toy] = []

    def begin(name: str, *, code: str = STAY, folder: Path = state.folder, late: float = 0) -> Toy:
        environment = os.environ | {"STATE_DIR": str(folder)}
        noted = time.time() + late
        toy = subprocess.Popen(
            [sys.executable, "-c", code, str(state.run / "told")],
            env=environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        toys.append(toy)
        started = datetime.fromtimestamp(noted, UTC).isoformat()
        rows.append({"name": name, "pid": toy.pid, "started_at": started})
        (state.run / "processes.json").write_text(json.dumps({"processes": rows}))
        assert toy.stdout
        toy.stdout.readline()
        return toy

    yield begin
    for toy in toys:
        toy.kill()
        toy.communicate()


def test_orphans_are_ended_the_data_servers_last(
    state: State, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("_APPLICATION_SECONDS", "_DATA_SECONDS"):
        monkeypatch.setattr(orphans, patience, 60.0)
    start("postgres", code=TELL)
    start("api_00", code=TELL)
    assert end_orphans(state) == ["api_00", "postgres"]
    told = [int(number) for number in (state.run / "told").read_text().split()]
    assert told == [signal.SIGTERM, signal.SIGINT]


def test_one_that_does_not_listen_is_killed(
    state: State, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "_APPLICATION_SECONDS", 0.2)
    toy = start("worker", code=DEAF)
    assert end_orphans(state) == ["worker"]
    assert toy.wait(60) == -signal.SIGKILL


def test_one_that_was_forked_seconds_after_its_note_is_known(state: State, start: Start) -> None:
    """supervisord notes a start before it forks, and a busy machine pauses between."""
    start("api_00", late=-5)
    assert end_orphans(state) == ["api_00"]


def test_a_process_of_another_stack_is_left_alone(state: State, start: Start, tmp_path: Path) -> None:
    toy = start("api_00", folder=tmp_path / "other")
    assert end_orphans(state) == []
    assert toy.poll() is None


def test_a_later_process_with_the_same_number_is_left_alone(state: State, start: Start) -> None:
    toy = start("api_00", late=-60)
    assert end_orphans(state) == []
    assert toy.poll() is None


def test_nothing_is_ended_while_supervisord_answers(
    state: State, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "running_pid", lambda _state: 1)
    toy = start("api_00")
    assert end_orphans(state) == []
    assert toy.poll() is None


@pytest.mark.parametrize("text", [None, "{", '{"processes": [{"name": "api", "pid": null}]}'])
def test_without_a_list_there_are_no_orphans(state: State, text: str | None) -> None:
    if text is not None:
        (state.run / "processes.json").write_text(text)
    assert end_orphans(state) == []
