"""The buffer between supervisord and its reader."""

import json
import threading
from collections.abc import Iterator

import pytest

from app.supervision.output import Writer
from tests.supervision.stack import until


class Gate:
    """A target that can be shut, and that can fail."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.failing = False
        self.asked = 0
        self.written: list[bytes] = []
        self.closed = 0

    def ready(self) -> bool:
        return self.open.wait(0.01)

    def write(self, data: bytes) -> None:
        self.asked += 1
        if self.failing:
            raise OSError
        self.written.append(data)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def writer(gate: Gate) -> Iterator[Writer]:
    made = Writer(gate, limit=100)
    yield made
    gate.open.set()
    made.close(60)


@pytest.fixture
def fails(gate: Gate) -> Gate:
    """A target that is open, and fails."""
    gate.failing = True
    gate.open.set()
    return gate


def lose(writer: Writer) -> None:
    """Put a line that cannot be written, and wait until it is given up."""
    writer.put(b"lost\n")
    until(lambda: writer._dropped == 1)


def lines(gate: Gate) -> list[bytes]:
    return b"".join(gate.written).splitlines()


def test_lines_come_out_in_order(gate: Gate, writer: Writer) -> None:
    gate.open.set()
    for number in range(5):
        writer.put(b"%d\n" % number)
    until(lambda: len(lines(gate)) == 5)
    assert lines(gate) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_full_buffer_drops_the_oldest_lines_and_says_how_many(gate: Gate, writer: Writer) -> None:
    for number in range(20):
        writer.put(b"line %04d\n" % number)
    gate.open.set()
    until(lambda: lines(gate)[-1:] == [b"line 0019"])
    report, *kept = lines(gate)
    assert json.loads(report)["dropped"] == 10
    assert kept == [b"line %04d" % number for number in range(10, 20)]


def test_a_line_that_could_not_be_written_is_counted_and_those_after_it_wait(fails: Gate) -> None:
    writer = Writer(fails, pause=0.01)
    lose(writer)
    for number in range(3):
        writer.put(b"kept %d\n" % number)
    fails.failing = False
    until(lambda: lines(fails)[-1:] == [b"kept 2"])
    report, *kept = lines(fails)
    assert json.loads(report)["dropped"] == 1
    assert kept == [b"kept 0", b"kept 1", b"kept 2"]
    writer.close(60)


def test_a_target_that_fails_is_given_a_rest(fails: Gate) -> None:
    writer = Writer(fails, pause=60)
    lose(writer)
    for _ in range(2):
        writer.put(b"lost too\n")
    writer.close(60)
    assert not writer._thread.is_alive()
    assert fails.asked == 2, "once more at the end"


def test_what_waits_for_the_next_try_is_written_by_a_close(fails: Gate) -> None:
    writer = Writer(fails, pause=60)
    lose(writer)
    writer.put(b"kept\n")
    fails.failing = False
    writer.close(60)
    report, kept = lines(fails)
    assert (json.loads(report)["dropped"], kept) == (1, b"kept")


def test_closing_writes_what_is_left(gate: Gate) -> None:
    writer = Writer(gate)
    writer.put(b"last\n")
    gate.open.set()
    writer.close(30)
    assert lines(gate) == [b"last"]
    assert gate.closed == 1


def test_closing_does_not_wait_for_a_stalled_reader(gate: Gate) -> None:
    writer = Writer(gate)
    writer.put(b"last\n")
    writer.close(0.05)
    until(lambda: not writer._thread.is_alive())
    assert lines(gate) == []
