"""Log lines as a person reads them."""

import json

import pytest

from app.cli.console import fail, readable


def line(**fields: object) -> str:
    standard = {
        "timestamp": "2026-01-02T03:04:05.678Z",
        "level": "INFO",
        "message": "request",
        "logger": "app.x",
    }
    return json.dumps(standard | fields)


def test_a_line_shows_time_level_source_message_and_fields() -> None:
    assert readable(line(status=200, path="/x")) == "03:04:05 INFO     app.x | request status=200 path=/x"


def test_a_field_may_be_a_list_or_an_object() -> None:
    assert "data={'a': 1}" in readable(line(data={"a": 1}, empty=None, words=["b"]))


def test_the_program_stands_for_the_logger_where_there_is_one() -> None:
    assert " api-0 | " in readable(line(program="api-0"))


def test_a_traceback_stands_below_and_errors_have_a_colour() -> None:
    text = readable(line(level="ERROR", exc_info="Traceback:\n  boom"))
    assert text.startswith("[red]")
    assert "\nTraceback:\n  boom" in text


@pytest.mark.parametrize("text", ["plain words", "[1, 2]", "{broken", ""])
def test_what_is_no_json_object_is_shown_as_it_is(text: str) -> None:
    assert readable(text).replace("\\[", "[") == text


def test_markup_in_a_message_is_no_markup() -> None:
    assert "\\[red]" in readable(line(message="[red]"))


def test_fail_says_why_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fail("no such thing", code=3)
    assert caught.value.code == 3
