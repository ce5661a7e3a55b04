"""The reader's parts, in this process. What it does behind its walls is seen in ``test_pictures.py``."""

import errno
import io
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import AvifImagePlugin, Image, UnidentifiedImageError, WebPImagePlugin

from app.services.media import picture_reader
from tests.samples import drawn, oriented, saved


def answer(monkeypatch: pytest.MonkeyPatch, path: Path, data: bytes, name: str) -> tuple[Any, bytes]:
    """What the program writes. Its settings of Pillow, which are the process's, are undone."""
    path.write_bytes(data)
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, write_through=True))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.setattr(AvifImagePlugin, "DEFAULT_MAX_THREADS", 0)
    with warnings.catch_warnings():
        picture_reader.main([str(path), name, "1000000", "100", "200", str(path.with_name("large"))])
    line, _, picture = output.getvalue().partition(b"\n")
    return json.loads(line), picture


SIXTEEN = saved(Image.new("I;16", (300, 200), 9), "PNG")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (oriented(drawn("JPEG"), 6), "JPEG"),
        (drawn("AVIF"), "AVIF"),
        (drawn("GIF"), "GIF"),
        (SIXTEEN, "PNG"),
        (saved(Image.new("RGBA", (300, 200)), "PNG"), "PNG"),
    ],
)
def test_the_answer_is_a_line_of_facts_and_a_jpeg(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes, name: str
) -> None:
    facts, picture = answer(monkeypatch, tmp_path / "picture", data, name)
    assert facts["format"] == name
    assert max(Image.open(io.BytesIO(picture)).size) == 100
    with Image.open(tmp_path / "large") as large:
        assert max(large.size) == 200


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (drawn("PNG")[:9000], "broken"),
        (b"", "broken"),
        (saved(Image.new("1", (1100, 1000)), "PNG"), "large"),
        (saved(Image.new("1", (2100, 1000)), "PNG"), "large"),
    ],
)
def test_a_problem_is_answered_without_a_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes, problem: str
) -> None:
    facts, picture = answer(monkeypatch, tmp_path / "picture", data, "PNG")
    assert (facts["problem"], picture) == (problem, b"")


def test_a_pillow_built_without_a_format_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(WebPImagePlugin, "SUPPORTED", False)
    facts, _ = answer(monkeypatch, tmp_path / "picture", drawn("WEBP"), "WEBP")
    assert facts == {"problem": "decoder"}


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (MemoryError(), "memory"),
        (OSError("decoder tiff_lzw not available"), "decoder"),
        (UnidentifiedImageError("/private/path"), "broken"),
        (OSError("image file is truncated"), "broken"),
        (OSError(errno.EINVAL, "Invalid argument"), "broken"),
        (OSError(errno.EIO, "Input/output error"), "system"),
        (PermissionError(errno.EACCES, "Permission denied"), "system"),
    ],
)
def test_each_error_has_its_answer(error: Exception, problem: str) -> None:
    told = picture_reader.problem_of(error)
    assert told["problem"] == problem
    assert "/private" not in str(told)


def test_frames_that_cannot_be_counted_spoil_no_picture() -> None:
    class Broken:
        @property
        def n_frames(self) -> int:
            raise ValueError

    broken: Any = Broken()
    assert picture_reader.frames(broken) is None
