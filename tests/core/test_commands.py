"""What people are told to run."""

import sys
from pathlib import Path

import pytest

from app.core.commands import command, program
from app.core.config import PROJECT_ROOT


@pytest.mark.parametrize(
    ("prefix", "made", "own"),
    [
        (PROJECT_ROOT / ".venv", "`make up`", "`.venv/bin/holdfast migrate`"),
        (Path("/opt/venv"), "`holdfast up`", "`holdfast migrate`"),
    ],
)
def test_it_is_told_as_it_is_called_here(
    prefix: Path, made: str, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert (command("up"), program("migrate")) == (made, own)
