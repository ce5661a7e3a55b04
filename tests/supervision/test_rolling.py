"""``supervisorctl rolling``: one process after another, and only while others serve."""

import http.client
import select
import sys
import threading
import time
from pathlib import Path

import pytest

from app.supervision import rolling
from tests.servers import own_port
from tests.supervision.stack import TOY, Stack, until

DRAIN = 2.0
"""Seconds in which a server that leaves tells its clients so."""


def ready_program(stack: Stack, count: int = 2, **options: str) -> None:
    stack.program(
        "api",
        "ready",
        process_name="api-%(process_num)d",
        numprocs=count,
        autorestart="true",
        environment=f'OWN_SOCKET="{stack.run}/api-%(process_num)d.sock",'
        f'STATUS_FILE="{stack.folder}/status-%(process_num)d"',
        **options,
    )


def pids(stack: Stack, count: int = 2) -> list[int]:
    return [stack.pid(f"api:api-{number}") for number in range(count)]


def sockets(stack: Stack, count: int = 2) -> None:
    until(lambda: all((stack.run / f"api-{number}.sock").exists() for number in range(count)), "sockets")


def test_every_process_is_replaced(stack: Stack) -> None:
    ready_program(stack, 3)
    stack.start()
    old = pids(stack, 3)
    sockets(stack, 3)
    done = stack.ctl("rolling", "api")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("replaced in") == 3
    assert not set(old) & set(pids(stack, 3))


def test_the_rollout_stops_at_a_process_that_does_not_become_ready(stack: Stack) -> None:
    ready_program(stack)
    stack.start()
    old = pids(stack)
    sockets(stack)
    (stack.folder / "status-0").write_text("503")
    configuration = stack.folder / "supervisorctl.conf"
    configuration.write_text(
        f"[supervisorctl]\nserverurl=unix://{stack.run}/supervisor.sock\n[ctlplugin:rolling]\n"
        f"supervisor.ctl_factory=app.supervision.rolling:make_rolling\nrun_dir={stack.run}\ntimeout=1\n"
    )
    done = stack.ctl("rolling", "api", configuration=configuration)
    assert done.returncode == 1
    assert "api-0 was not ready within" in done.stdout
    assert stack.in_state("api:api-0", "STOPPED") == 0
    assert stack.pid("api:api-1") == old[1]


def test_the_rollout_stops_at_a_process_that_does_not_stay_up(stack: Stack) -> None:
    broken = stack.folder / "broken"
    script = stack.folder / "script"
    script.write_text(f"[ -e {broken} ] && exit 3; exec {sys.executable} {TOY} ready\n")
    ready_program(stack, command=f"/bin/sh {script}")
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=0)
    old = pids(stack)
    sockets(stack)
    broken.touch()
    done = stack.ctl("rolling", "api")
    assert done.returncode == 1
    assert "did not stay up" in done.stdout
    assert stack.pid("api:api-1") == old[1]


def test_a_process_that_is_not_ready_is_replaced_first(stack: Stack) -> None:
    ready_program(stack)
    stack.start()
    pids(stack)
    sockets(stack)
    stack.call("stopProcess", "api:api-1")
    done = stack.ctl("rolling", "api")
    assert done.returncode == 0, done.stdout
    assert done.stdout.index("api-1") < done.stdout.index("api-0")


def test_nothing_is_stopped_while_no_other_process_is_ready(stack: Stack) -> None:
    ready_program(stack)
    stack.start()
    old = pids(stack)
    sockets(stack)
    for number in range(2):
        (stack.folder / f"status-{number}").write_text("503")
    done = stack.ctl("rolling", "api")
    assert done.returncode == 1
    assert "is ready, so it is left as it is" in done.stdout
    assert pids(stack) == old


def test_one_answer_that_came_too_late_does_not_end_a_rollout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = iter([False] * (rolling._ASKED - 1) + [True])
    monkeypatch.setattr(rolling, "is_ready", lambda _path: next(answers))
    monkeypatch.setattr(rolling, "_BREATH", 0.0)
    rolling.Rolling(None, run_dir=tmp_path, timeout=1)._check_others(["api-0", "api-1"], "api-0")
    assert next(answers, None) is None


def test_a_single_process_is_not_replaced(stack: Stack) -> None:
    ready_program(stack, 1)
    stack.start()
    old = pids(stack, 1)
    done = stack.ctl("rolling", "api")
    assert done.returncode == 1
    assert "only one process" in done.stdout
    assert pids(stack, 1) == old


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "rolling <program>"),
        (("nothing",), 1, "no such program"),
        (("a", "b"), 2, "rolling <program>"),
    ],
)
def test_wrong_arguments_are_refused(
    stack: Stack, arguments: tuple[str, ...], status: int, words: str
) -> None:
    stack.program("worker", "stay")
    stack.start()
    done = stack.ctl("rolling", *arguments)
    assert done.returncode == status
    assert words in done.stdout


def leave_closed(connection: http.client.HTTPConnection, answered: float) -> None:
    """Connect anew where the server has closed an idle connection, as every pool of connections does.

    A client that stood still through a whole drain may find that. Any other was told with its last answer.
    """
    if connection.sock and select.select([connection.sock], [], [], 0)[0]:
        idle = time.monotonic() - answered
        if idle < DRAIN:
            raise ConnectionResetError(f"closed without a word after {idle:.1f} s")
        connection.close()


class Load:
    """Clients that ask over kept connections, as fast as they are answered."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._port = port
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        answered = time.monotonic()
        while not self._enough.is_set():
            try:
                leave_closed(connection, answered)
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()  # the connection is closed after it where the server asked for that
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            else:
                answered = time.monotonic()
                with self._lock:
                    self.answered += 1
        connection.close()


def test_no_request_fails_while_the_api_is_replaced_under_load(stack: Stack) -> None:
    port = own_port()
    own = "%(program_name)s-%(process_num)d"
    stack.program(
        "api",
        kind="fcgi-program",
        command=f"{sys.executable} {Path(__file__).parents[1] / 'toy_server.py'}",
        socket=f"tcp://127.0.0.1:{port}",
        socket_backlog=2048,
        process_name=own,
        numprocs=2,
        stopwaitsecs=30,
        environment=f'API_BIND="fd://0,unix:{stack.run}/{own}.sock",JOURNAL="{stack.folder}/{own}.journal",'
        f'DRAIN_DELAY="{DRAIN}"',
    )
    stack.start()
    sockets(stack)
    old = pids(stack)
    with Load(port) as load:
        until(lambda: load.answered > 100)
        done = stack.ctl("rolling", "api")
        finished = load.answered
        until(lambda: load.answered > finished + 100)
    assert done.returncode == 0, done.stdout
    assert not set(old) & set(pids(stack))
    assert load.failures == []
