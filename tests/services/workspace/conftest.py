"""A workspace of each kind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.workspace import Workspace
from tests.buckets import Variables
from tests.configuration import make_settings

Opened = Callable[[Variables], Workspace]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Opens a workspace with the settings of a bucket, or without."""

    def run(variables: Variables) -> Workspace:
        return Workspace.from_settings(make_settings(tmp_path, "postgresql://h/db", "redis://h", **variables))

    return run


@pytest.fixture(params=["folder", "bucket"])
def either(request: pytest.FixtureRequest, opened: Opened) -> Workspace:
    """The one, then the other: what both must do alike."""
    return opened(request.getfixturevalue("bucket") if request.param == "bucket" else {})
