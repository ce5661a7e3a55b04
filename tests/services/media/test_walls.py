"""Whether the kernel's walls stand."""

import logging
import sys
from pathlib import Path

import pytest

from app.services.media import launcher, walls
from app.services.media.walls import missing_walls
from app.workers.tasks import media as task


def answering(path: Path, words: str) -> Path:
    path.write_text(f"print({words!r})\n")
    return path


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ('{"landlock": true, "seccomp": true}', ()),
        ('{"landlock": false, "seccomp": true}', ("Landlock",)),
        ("{}", ("Landlock", "seccomp")),
        ("no JSON", ("Landlock", "seccomp")),
    ],
)
def test_those_that_do_not_stand_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, missing: tuple[str, ...]
) -> None:
    monkeypatch.setattr(walls, "LAUNCHER", answering(tmp_path / "launcher.py", words))
    assert missing_walls() == missing


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has them")
def test_what_the_kernel_offers_is_tried() -> None:
    assert ("Landlock" in missing_walls()) == (launcher.landlock_version() < 1)


def test_the_launcher_tells_of_a_system_that_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    launcher.main(["walls", "[]"])
    assert capsys.readouterr().out == '{"landlock": false, "seccomp": false}'


def test_a_worker_says_once_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(task, "missing_walls", lambda: ("Landlock",))
    with caplog.at_level(logging.WARNING, logger=task.__name__):
        task.tell_missing_walls()
    assert [record.getMessage() for record in caplog.records] == ["media_walls_missing"]
    monkeypatch.setattr(task, "missing_walls", lambda: ())
    task.tell_missing_walls()
    assert len(caplog.records) == 1
