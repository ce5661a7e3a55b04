"""An application whose limits a test may set."""

from pathlib import Path

import pytest

from app.core.config import AppSettings
from app.services.workspace import Workspace
from tests.configuration import make_settings


@pytest.fixture
def settings(
    fresh_database: str, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AppSettings:
    built = make_settings(tmp_path, fresh_database, redis_url, **getattr(request, "param", {}))
    built.run_dir.mkdir(mode=0o700, exist_ok=True)
    return built


@pytest.fixture
def workspace(settings: AppSettings) -> Workspace:
    return Workspace.from_settings(settings)
