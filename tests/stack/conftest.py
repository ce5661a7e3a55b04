"""One stack for all tests that leave it standing, kept by pytest-xprocess."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.samples import Samples
from tests.servers import state_folder
from tests.stack.harness import Stack, starter

TEST_SECONDS = 330
"""The longest that a test of a stack may take: it waits for many processes, and maybe for the first start."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give them their time."""
    for item in items:
        if item.get_closest_marker("stack"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def shared_stack(xprocess: Any) -> Iterator[Stack]:
    """The stack, started once; ended in order at the end of the run."""
    with state_folder() as folder:
        stack = Stack(folder)
        pid, log = xprocess.ensure("stack", starter(stack), persist_logs=False)
        stack.log = Path(log)
        parent = psutil.Process(pid)
        stack.let_in()
        yield stack
        stack.client.close()
        os.kill(pid, signal.SIGTERM)
        psutil.wait_procs([parent], timeout=60)
        xprocess.getinfo("stack").terminate()


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    """The stack, ready again after whatever the last test did to it."""
    shared_stack.wait_ready()
    return shared_stack


@pytest.fixture(scope="session")
def video(samples: Samples) -> Path:
    """A real video of ten seconds with sound."""
    return samples.path("clip.mp4", seconds=10)
