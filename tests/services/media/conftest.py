"""The real tools over a workspace of their own."""

from pathlib import Path

import pytest

from app.core.config.groups import MediaSettings
from app.services.media.process import Bench, Outcome, process
from app.services.media.tools import MediaTools
from app.services.media.types import MEDIA_TYPES, sniff
from app.services.workspace import Workspace
from app.services.workspace.incoming import HEAD
from tests.configuration import make_settings
from tests.services.media.processing import Processed, ignore


@pytest.fixture(params=["folder", "bucket"])
def workspace(
    request: pytest.FixtureRequest, tmp_path: Path, fresh_database: str, redis_url: str
) -> Workspace:
    """Twice: objects in a folder, and in a bucket."""
    variables = request.getfixturevalue("bucket") if request.param == "bucket" else {}
    return Workspace.from_settings(make_settings(tmp_path, fresh_database, redis_url, **variables))


@pytest.fixture
def bench(tmp_path: Path, media_tools: MediaTools) -> Bench:
    return Bench(Workspace(tmp_path / "workspace", create=True), lambda: media_tools, MediaSettings())


@pytest.fixture
def processed(bench: Bench) -> Processed:
    async def run(data: bytes, mime: str | None = None) -> Outcome:
        stored = await bench.workspace.keep(data)
        return await process(bench, stored.key, MEDIA_TYPES[mime] if mime else sniff(data[:HEAD]), ignore)

    return run
