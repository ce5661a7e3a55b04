"""Where lines can go."""

import os
from pathlib import Path

import pytest

from app.supervision.targets import Descriptor, RotatingFile


def test_a_pipe_that_is_full_is_not_ready() -> None:
    reading, writing = os.pipe()
    try:
        target = Descriptor(writing)
        while target.ready():
            target.write(b"x" * 4096)
        assert os.read(reading, 65536)
        assert target.ready()
    finally:
        os.close(reading)
        os.close(writing)


def test_a_broken_pipe_is_ready_to_tell_so() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert Descriptor(writing).ready()
        with pytest.raises(BrokenPipeError):
            Descriptor(writing).write(b"x")
    finally:
        os.close(writing)


def test_a_file_is_turned_over_when_it_is_full(tmp_path: Path) -> None:
    target = RotatingFile(tmp_path / "log", max_bytes=10, files=3)
    for number in range(5):
        target.write(b"line %d\n" % number)
    target.close()
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"log": "line 4\n", "log.1": "line 3\n", "log.2": "line 2\n"}


def test_a_file_goes_on_where_the_last_run_ended(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        target = RotatingFile(tmp_path / "log", max_bytes=10)
        assert target.ready()
        target.write(word)
        target.close()
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
