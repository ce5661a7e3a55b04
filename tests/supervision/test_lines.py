"""Whatever a child writes, in whatever pieces, comes out as JSON lines."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.logging import LINE_LIMIT
from app.supervision.foreign import read_level
from app.supervision.lines import LONGEST, LineStream, parse_object

PID = 7


def stream(channel: str = "stdout") -> LineStream:
    return LineStream("toy", channel)


def read(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def messages(data: bytes, channel: str = "stdout") -> list[str]:
    return [line["message"] for line in read(stream(channel).feed(PID, data))]


def test_a_json_object_is_passed_on_unchanged() -> None:
    line = b'{"message":  "caf\xc3\xa9", "n": 1}\n'
    assert list(stream().feed(PID, line)) == [line]


def test_a_json_object_that_is_too_long_keeps_its_fields() -> None:
    long = json.dumps({"level": "ERROR", "message": "x" * 9000, "request_id": "abc"}).encode() + b"\n"
    (line,) = stream().feed(PID, long)
    assert len(line) <= LINE_LIMIT
    assert json.loads(line)["request_id"] == "abc"


@pytest.mark.parametrize(
    "text", [b"[1, 2]", b'"text"', b"{broken}", b'{"n": NaN}', b"{" * 5000 + b"}", b'{"a": "\xff"}']
)
def test_what_is_no_json_object_is_wrapped(text: bytes) -> None:
    (line,) = read(stream().feed(PID, text + b"\n"))
    assert line["logger"] == "toy"
    assert line["process"] == PID
    assert line["channel"] == "stdout"
    assert line["timestamp"].endswith("Z")


def test_a_line_in_pieces_comes_out_once_it_is_whole() -> None:
    pieces = stream()
    assert list(pieces.feed(PID, b"hel")) == []
    assert [line["message"] for line in read(pieces.feed(PID, b"lo\n"))] == ["hello"]


def test_a_partial_line_is_given_when_the_process_ends() -> None:
    pieces = stream()
    assert list(pieces.feed(PID, b"half")) == []
    assert [line["message"] for line in read(pieces.flush(PID))] == ["half"]
    assert list(pieces.flush(PID)) == []


def test_a_line_that_never_ends_is_kept_only_in_part() -> None:
    pieces = stream()
    for _ in range(100):
        assert list(pieces.feed(PID, b"x" * LONGEST)) == []
    (line,) = pieces.feed(PID, b"\n")
    assert len(line) <= LINE_LIMIT


def test_blank_lines_say_nothing() -> None:
    assert messages(b"\n  \r\n\x1b[0m\n") == []


def test_terminal_colours_are_taken_off() -> None:
    assert messages(b"\x1b[1;31mred\x1b[0m\r\n") == ["red"]


TRACEBACK = b"""Traceback (most recent call last):
  File "x.py", line 1, in <module>
    go()
ValueError: no
"""


def test_a_traceback_is_one_line() -> None:
    (line,) = read(stream("stderr").feed(PID, TRACEBACK))
    assert line["level"] == "ERROR"
    assert line["message"] == TRACEBACK.decode().rstrip()


def test_a_traceback_in_pieces_is_one_line() -> None:
    pieces = stream("stderr")
    lines = [line for piece in TRACEBACK.splitlines(keepends=True) for line in pieces.feed(PID, piece)]
    assert len(lines) == 1


def test_what_follows_a_traceback_is_a_line_of_its_own() -> None:
    assert len(messages(TRACEBACK + b"next\n")) == 2
    unfinished = TRACEBACK.rpartition(b"ValueError")[0]
    assert len(list(stream().feed(PID, unfinished + b'{"message": "next"}\n'))) == 2


def test_a_traceback_that_never_ends_is_given_in_parts() -> None:
    assert len(messages(b"Traceback (most recent call last):\n" + b"  more\n" * 1000)) > 1


def test_a_traceback_is_given_after_a_moment_of_silence() -> None:
    pieces = stream()
    assert list(pieces.feed(PID, TRACEBACK[:60])) == []
    assert list(pieces.settle()) == []
    assert len(list(pieces.settle())) == 1


def test_lines_indented_by_a_tab_belong_to_the_one_before() -> None:
    assert messages(b"LOG:  statement: select\n\t1\nnext\n") == ["LOG: statement: select\n\t1", "next"]


def test_secrets_are_masked() -> None:
    assert messages(b"password=hunter22\n") == ["password=***"]


@given(st.lists(st.binary(max_size=40)), st.sampled_from(["stdout", "stderr"]))
def test_any_bytes_become_json_objects_under_the_limit(pieces: list[bytes], channel: str) -> None:
    made = stream(channel)
    lines = [line for piece in pieces for line in made.feed(PID, piece)]
    lines += made.flush(PID)
    for line in lines:
        assert line.endswith(b"\n")
        assert b"\n" not in line[:-1]
        assert len(line) <= LINE_LIMIT
        assert isinstance(json.loads(line), dict)


def test_an_object_in_an_object_is_an_object() -> None:
    assert parse_object(b'{"a": {"b": []}}') == {"a": {"b": []}}


@pytest.mark.parametrize(
    ("text", "channel", "level", "message"),
    [
        ("2026-11-21 07:00:00.1 UTC [9] LOG:  ready", "stderr", "INFO", "LOG: ready"),
        ("2026-11-21 07:00:00.1 UTC [9] ERROR:  no such table", "stderr", "ERROR", "ERROR: no such table"),
        ("2026-11-21 07:00:00.1 UTC [9] FATAL:  no role", "stderr", "ERROR", "FATAL: no role"),
        ("2026-11-21 07:00:00.1 UTC [9] PANIC:  disk", "stderr", "CRITICAL", "PANIC: disk"),
        ("2026-11-21 07:00:00.1 UTC [9] DEBUG2:  x", "stderr", "DEBUG", "DEBUG2: x"),
        ("2026-11-21 07:00:00.1 UTC [9] HINT:  try", "stderr", "INFO", "HINT: try"),
        ("9:M 21 Nov 2026 07:00:00.123 * Ready", "stdout", "INFO", "Ready"),
        ("9:C 21 Nov 2026 07:00:00.123 # oO0", "stdout", "WARNING", "oO0"),
        ("9:M 21 Nov 2026 07:00:00.123 . detail", "stdout", "DEBUG", "detail"),
        ("WARNING:root:beware", "stderr", "WARNING", "WARNING:root:beware"),
        ("[2026-11-21 07:00:00: ERROR/Main] no", "stdout", "ERROR", "[2026-11-21 07:00:00: ERROR/Main] no"),
        ("WARN something", "stdout", "WARNING", "WARN something"),
        ("configuration: PORT: is missing", "stderr", "ERROR", "configuration: PORT: is missing"),
        ("no level here", "stdout", "INFO", "no level here"),
        ("no level here", "stderr", "WARNING", "no level here"),
        ("the ERRORS of others", "stdout", "INFO", "the ERRORS of others"),
    ],
)
def test_the_level_of_foreign_lines_is_read(text: str, channel: str, level: str, message: str) -> None:
    assert read_level(text, channel) == (level, message)
