"""What the flake says, read without Nix."""

import importlib
import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from app.core.config import PROJECT_ROOT

NIX = PROJECT_ROOT / "nix"


@pytest.fixture
def flake() -> str:
    return (PROJECT_ROOT / "flake.nix").read_text("utf-8")


@pytest.fixture
def systems(flake: str) -> set[str]:
    """Those that the flake is for."""
    return set(re.findall(r'"(\w+-linux)"', flake))


@pytest.fixture
def table() -> dict[str, Any]:
    """The hashes of wheels."""
    found: dict[str, Any] = json.loads((NIX / "wheels.json").read_text("utf-8"))
    return found


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports one of ``nix/wheels``, which find one another in their own folder."""
    pytest.importorskip("pip", reason="this environment has no pip, which fetches wheels")
    monkeypatch.syspath_prepend(str(NIX / "wheels"))
    return importlib.import_module
