"""What ``doctor`` says of media tools and of the walls around them."""

from pathlib import Path

import pytest

from app.cli.doctor import media
from app.core.config import AppSettings
from app.core.config.groups import MediaSettings
from tests.services.media.test_tools import answering


def test_absent_walls_are_told_and_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "missing_walls", lambda: ("Landlock", "seccomp"))
    finding = media.walls()
    assert "without Landlock and seccomp" in finding.said
    assert not finding.is_fault
    monkeypatch.setattr(media, "missing_walls", lambda: ())
    assert "confines" in media.walls().said


def test_an_ffmpeg_that_writes_no_previews_is_a_fault(settings: AppSettings, tmp_path: Path) -> None:
    tools = answering(tmp_path / "ffmpeg", " A....D aac   AAC")
    given = MediaSettings(ffmpeg=str(tools.ffmpeg), ffprobe=str(tools.ffprobe))
    findings = list(media.media(settings.model_copy(update={"media": given})))
    [fault] = [finding for finding in findings if finding.is_fault]
    assert (fault.subject, "H.264" in fault.said, "AAC" in fault.said) == ("media encoders", True, False)
    assert [finding.subject for finding in findings][-1] == "media walls"
