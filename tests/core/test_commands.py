"""What people are told to run."""

import sys
from pathlib import Path

import pytest

from app.core.commands import command
from app.core.config import PROJECT_ROOT


@pytest.mark.parametrize(
    ("prefix", "expected"), [(PROJECT_ROOT / ".venv", "`make up`"), (Path("/opt/venv"), "`holdfast up`")]
)
def test_it_is_told_as_it_is_called_here(
    prefix: Path, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert command("up") == expected
