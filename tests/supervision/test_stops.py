"""A stop that comes while supervisord loads."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from app.supervision import stops
from tests.supervision.stack import Stack


@contextmanager
def held() -> Iterator[None]:
    """What is started meanwhile begins as a container's first process does."""
    stops.hold()
    try:
        yield
    finally:
        stops.release()


def test_it_waits_until_supervisord_listens(stack: Stack) -> None:
    stack.program("one", "stay")
    with held():
        stack.start(wait=False)
    stack.process.send_signal(signal.SIGTERM)  # long before the interpreter has loaded anything
    assert stack.wait() == 0
    assert "supervision ends" in stack.messages()


def test_programs_inherit_no_mask(stack: Stack) -> None:
    stack.program("one", "stay")
    with held():
        stack.start()
    pid = stack.pid("one")
    stack.call("signalProcess", "one", "TERM")
    assert stack.another_pid("one", pid)
