from pathlib import Path

import pytest

from app.core.heartbeat import Heartbeat, age


def test_a_beat_makes_the_file_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "worker"
    monkeypatch.setenv("HEARTBEAT_FILE", str(file))
    assert age(file) is None
    Heartbeat.from_environment().beat()
    assert age(file, now=file.stat().st_mtime + 7) == pytest.approx(7)


def test_without_a_file_or_a_folder_nothing_happens(tmp_path: Path) -> None:
    Heartbeat(None).beat()
    Heartbeat(tmp_path / "missing" / "file").beat()
    assert list(tmp_path.iterdir()) == []
