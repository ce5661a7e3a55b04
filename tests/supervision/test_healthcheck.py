"""What the image's HEALTHCHECK says."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.supervision import healthcheck
from app.supervision.healthcheck import UnhealthyError, check

SILENCE = 60.0


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "heartbeats").mkdir()
    return tmp_path


def supervised(run: Path, *programs: str) -> None:
    rows = [
        {"program": program, "name": f"{program}-0" if program == "api" else program} for program in programs
    ]
    (run / "processes.json").write_text(json.dumps({"processes": rows}))


def beat(run: Path, name: str, *, ago: float = 0) -> None:
    file = run / "heartbeats" / name
    file.touch()
    then = time.time() - ago
    os.utime(file, (then, then))


@pytest.fixture
def answer(
    run: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[bytes]]:
    """Somebody on the API's own socket who answers this to each request."""
    monkeypatch.setattr(healthcheck, "ANSWER_SECONDS", 60.0)
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run / "api-0.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(request.param)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(60)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 \r\n\r\n"], indirect=True)
def test_it_is_healthy_while_the_api_answers_and_the_others_complete_cycles(
    run: Path, answer: list[bytes]
) -> None:
    supervised(run, "api", "worker", "beat")
    beat(run, "worker")
    beat(run, "beat", ago=SILENCE / 2)
    assert check(run, SILENCE) == "alive: api, beat, worker"
    assert answer[0].startswith(b"GET /health/live HTTP/1.1\r\n")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 \r\n\r\n"], indirect=True)
def test_an_api_that_answers_with_an_error_is_unhealthy(run: Path, answer: list[bytes]) -> None:
    supervised(run, "api")
    with pytest.raises(UnhealthyError, match="no process of the API answers"):
        check(run, SILENCE)


def test_an_api_that_nobody_listens_for_is_unhealthy(run: Path) -> None:
    supervised(run, "api")
    with pytest.raises(UnhealthyError, match="no process of the API answers"):
        check(run, SILENCE)


def test_a_worker_without_cycles_is_unhealthy(run: Path) -> None:
    supervised(run, "worker")
    with pytest.raises(UnhealthyError, match=r"worker has completed no cycle$"):
        check(run, SILENCE)
    beat(run, "worker", ago=2 * SILENCE)
    with pytest.raises(UnhealthyError, match=r"no cycle for 1[2-9][0-9] s"):
        check(run, SILENCE)


def test_a_fatal_program_is_unhealthy(run: Path) -> None:
    supervised(run, "beat")
    beat(run, "beat")
    (run / "fatal").touch()
    with pytest.raises(UnhealthyError, match="cannot be started"):
        check(run, SILENCE)


def test_before_supervision_it_is_unhealthy(run: Path) -> None:
    with pytest.raises(UnhealthyError, match="not started"):
        check(run, SILENCE)


@pytest.mark.parametrize(
    ("programs", "code", "said"), [(("beat",), 0, "alive: beat"), ((), 1, "not started")]
)
def test_as_a_program_it_needs_the_standard_library_only(
    run: Path, programs: tuple[str, ...], code: int, said: str
) -> None:
    if programs:
        supervised(run, *programs)
        beat(run, "beat")
    command = [sys.executable, "-I", "-S", str(Path(healthcheck.__file__))]
    done = subprocess.run(
        command,
        env={"RUN_DIR": str(run), "WATCHDOG_TIMEOUT": "30"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert said in done.stdout


@pytest.mark.parametrize(("stale", "code"), [(False, 0), (True, 1)])
def test_the_watchdog_has_its_time_before_the_verdict(
    run: Path, monkeypatch: pytest.MonkeyPatch, stale: bool, code: int
) -> None:
    monkeypatch.setenv("RUN_DIR", str(run))
    monkeypatch.setenv("WATCHDOG_TIMEOUT", "10")
    supervised(run, "worker")
    beat(run, "worker", ago=45 if stale else 15)
    assert healthcheck.main() == code


@pytest.mark.parametrize(
    ("ago", "said"),
    [(0, "alive: worker"), (200, "worker has completed no cycle for 2"), (None, "has completed no cycle\n")],
)
def test_a_program_without_supervisord_is_judged_by_the_heartbeat_file_that_it_is_given(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ago: float | None,
    said: str,
) -> None:
    monkeypatch.setenv("RUN_DIR", str(run))
    monkeypatch.setenv("HEARTBEAT_FILE", str(run / "heartbeats" / "worker"))
    if ago is not None:
        beat(run, "worker", ago=ago)
    assert healthcheck.main() == int(ago != 0)
    assert said in capsys.readouterr().out
