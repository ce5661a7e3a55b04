"""Files that no row speaks of."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.data_export import DataExport
from app.models.media_file import MediaFile
from app.services.media import strays
from app.services.media.strays import AGE, FILE_REFERENCES, Reading, remove_strays
from app.services.workspace import Workspace
from tests.accounts import OWNER


@pytest.fixture
def workspace(settings: AppSettings) -> Workspace:
    return Workspace.from_settings(settings)


@pytest.fixture
def reading(sessions: Sessions) -> Reading:
    @asynccontextmanager
    async def read() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    return read


async def aged(workspace: Workspace, data: bytes) -> str:
    stored = await workspace.keep(data)
    then = time.time() - AGE - 60
    os.utime(workspace.path(stored.key), (then, then))
    return stored.key


async def test_an_old_object_without_a_row_is_removed(workspace: Workspace, reading: Reading) -> None:
    key = await aged(workspace, b"stray")
    assert await remove_strays(workspace, reading) == 1
    assert not workspace.path(key).exists()


async def test_a_new_object_without_a_row_may_belong_to_a_running_upload(
    workspace: Workspace, reading: Reading
) -> None:
    stored = await workspace.keep(b"coming")
    assert await remove_strays(workspace, reading) == 0
    assert workspace.path(stored.key).exists()


async def test_files_and_renditions_of_rows_stay(
    workspace: Workspace, reading: Reading, sessions: Sessions
) -> None:
    file = await aged(workspace, b"file")
    columns = [column.key for column in FILE_REFERENCES if column.key != "sha256"]
    made = {column: await aged(workspace, column.encode()) for column in columns}
    async with transaction(sessions) as session:
        session.add(
            MediaFile(
                owner_id=OWNER,
                name="a.mp4",
                size=4,
                sha256=file,
                mime_type="video/mp4",
                kind="video",
                **made,
            )
        )
    assert await remove_strays(workspace, reading) == 0
    assert [key for key in (file, *made.values()) if not workspace.path(key).exists()] == []


def test_every_column_with_an_object_is_known() -> None:
    keys = {column.key for column in MediaFile.__table__.columns if column.key.endswith("_key")}
    assert keys | {"sha256"} == {column.key for column in FILE_REFERENCES}


async def test_the_file_of_an_export_stays(
    workspace: Workspace, reading: Reading, sessions: Sessions
) -> None:
    key = await aged(workspace, b"export")
    async with transaction(sessions) as session:
        session.add(DataExport(user_id=OWNER, object_key=key, expires_at=datetime.now(UTC)))
    assert await remove_strays(workspace, reading) == 0
    assert workspace.path(key).exists()


async def test_any_number_is_removed(
    workspace: Workspace, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strays, "_BATCH", 2)
    for number in range(5):
        await aged(workspace, b"%d" % number)
    assert await remove_strays(workspace, reading) == 5


async def test_a_missing_workspace_has_none(reading: Reading, settings: AppSettings) -> None:
    assert await remove_strays(Workspace(settings.state_dir / "nowhere"), reading) == 0
