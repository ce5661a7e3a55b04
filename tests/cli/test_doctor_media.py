"""What ``doctor`` says of media tools and of the walls around them."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from app.core.config import AppSettings
from app.core.config.groups import MediaSettings
from tests.services.media.test_tools import answering

# The package names its command so too.
doctor: Any = import_module("app.cli.doctor")


def test_absent_walls_are_told_and_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "missing_walls", lambda: ("Landlock", "seccomp"))
    finding = doctor._walls()
    assert "without Landlock and seccomp" in finding.said
    assert not finding.is_fault
    monkeypatch.setattr(doctor, "missing_walls", lambda: ())
    assert "confines" in doctor._walls().said


def test_an_ffmpeg_that_writes_no_previews_is_a_fault(settings: AppSettings, tmp_path: Path) -> None:
    tools = answering(tmp_path / "ffmpeg", " A....D aac   AAC")
    media = MediaSettings(ffmpeg=str(tools.ffmpeg), ffprobe=str(tools.ffprobe))
    findings = list(doctor._media(settings.model_copy(update={"media": media})))
    [fault] = [finding for finding in findings if finding.is_fault]
    assert (fault.subject, "H.264" in fault.said, "AAC" in fault.said) == ("media encoders", True, False)
    assert [finding.subject for finding in findings][-1] == "media walls"
