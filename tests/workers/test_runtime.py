"""What a worker's child works with."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.celery_app import configuration, create_celery
from app.core import context
from app.core.config import AppSettings
from app.workers.board import Board
from app.workers.runtime import Runtime
from tests.servers import DEADLINE
from tests.workers.processes import environment


@pytest.fixture
def runtime(settings: AppSettings) -> Iterator[Runtime]:
    runtime = Runtime(settings, create_celery(lambda: configuration(settings)), Board(1), 0)
    yield runtime
    runtime.close()


async def request() -> str | None:
    return context.request_id.get()


def test_each_run_has_the_context_that_it_is_asked_from(runtime: Runtime) -> None:
    with context.bound(context.request_id, "first"):
        assert runtime.run(request()) == "first"
    assert runtime.run(request()) is None
    with context.bound(context.request_id, "second"):
        assert runtime.run(request()) == "second"


ORPHAN = """
import os, time
from app.workers import board, runtime
board.share(1)
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.01)
print("begins", flush=True)
runtime.open_runtime()
print("goes on", flush=True)
"""


def test_a_child_whose_parent_was_killed_while_it_began_ends_too(settings: AppSettings) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN],
        env=environment(settings), capture_output=True, text=True, check=False, timeout=DEADLINE,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("begins\n", "")
