"""One JSON object a line (A9, L6, P5)."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from app.core import context
from app.core.logging import LINE_LIMIT, LineFormatter, encode_line


def format_record(
    message: str, *args: object, level: int = logging.INFO, **extra: object
) -> dict[str, object]:
    record = logging.LogRecord("app.part", level, "/x/part.py", 1, message, args, None)
    record.__dict__.update(extra)
    line = LineFormatter().format(record)
    assert "\n" not in line
    fields = json.loads(line)
    assert isinstance(fields, dict)
    return fields


def test_l6_a_line_has_the_standard_fields() -> None:
    fields = format_record("hello %s", "you", answer=42)
    assert fields["message"] == "hello you"
    assert fields["answer"] == 42
    assert {"timestamp", "level", "logger", "module", "process"} <= set(fields)
    assert str(fields["timestamp"]).endswith("Z")


def test_a10_the_ids_of_request_job_and_user_are_on_the_line() -> None:
    with (
        context.bound(context.request_id, "r-1"),
        context.bound(context.job_id, "j-1"),
        context.bound(context.user_id, "u-1"),
    ):
        fields = format_record("x")
    assert (fields["request_id"], fields["job_id"], fields["user_id"]) == ("r-1", "j-1", "u-1")
    assert "request_id" not in format_record("x")


@pytest.mark.parametrize("size", [100, 4000, 4090, 4096, 20_000, 200_000])
@pytest.mark.parametrize("character", ["x", "é", "\U0001f600", "\n", '"', "\x00"])
def test_no_line_is_longer_than_a_pipe_writes_at_once(size: int, character: str) -> None:
    line = encode_line(
        {"timestamp": "t", "level": "ERROR", "message": character * size, "more": [character] * size}
    )
    assert len(line) <= LINE_LIMIT
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    json.loads(line)


def test_a_line_with_very_many_fields_keeps_what_matters() -> None:
    fields = {"timestamp": "t", "level": "INFO", "logger": "l", "message": "kept"}
    line = encode_line(fields | {f"field{n}": "v" * 50 for n in range(500)})
    assert len(line) <= LINE_LIMIT
    assert json.loads(line)["message"] == "kept"


def test_a_cut_traceback_keeps_its_end() -> None:
    try:
        raise ValueError("the reason" + " " * 10)
    except ValueError:
        record = logging.LogRecord("l", logging.ERROR, "p", 1, "x" * 9000, (), sys.exc_info())
    fields = json.loads(LineFormatter().format(record))
    assert "ValueError: the reason" in fields["exc_info"]
    assert fields["cut"] is True


def test_secrets_are_masked_in_messages_fields_and_tracebacks() -> None:
    fields = format_record(
        "connect postgresql://u:hunter2@h/db with Bearer hunter2hunter2",
        password="hunter2",
        nested={"api_key": "hunter2", "list": [{"Authorization": "Basic hunter2"}], "ok": True},
        has_password=True,
    )
    assert "hunter2" not in json.dumps(fields)
    assert fields["has_password"] is True


def test_c6_setup_logging_sends_every_logger_to_standard_output_as_json() -> None:
    code = (
        "import logging, warnings\n"
        "from app.core.logging import setup_logging\n"
        "setup_logging('WARNING')\n"
        "logging.getLogger('other.library').info('too quiet')\n"
        "logging.getLogger('other.library').warning('heard')\n"
        "warnings.warn('old')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=str(Path.cwd()),
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["message"] == "heard"
    assert "old" in lines[1]["message"]
    assert len(lines) == 2
    assert done.stderr == ""
