"""Holding objects against rows, in a folder and in a bucket."""

import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.exceptions.base import InsufficientStorageException, ServiceUnavailableException
from app.models.data_export import DataExport
from app.schemas.storage import StorageReport
from app.services.media import reconciliation
from app.services.media.reconciliation import AGE, Reading, reconcile, slice_of
from app.services.workspace import Stored, Workspace
from tests.accounts import OWNER
from tests.buckets import nowhere
from tests.configuration import make_settings
from tests.services.media.files import media

AT_ONCE = -60.0
"""An age that every object has."""


@pytest.fixture
def reading(sessions: Sessions) -> Reading:
    @asynccontextmanager
    async def read() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session
            await session.rollback()

    return read


async def refer(sessions: Sessions, *rows: Any) -> None:
    async with transaction(sessions) as session:
        session.add_all(rows)


async def kept(workspace: Workspace, data: bytes) -> str:
    return (await workspace.keep(data)).key


async def spoil(workspace: Workspace, key: str, data: bytes) -> None:
    """Other bytes under the same key."""
    workspace.temporary.mkdir(exist_ok=True)
    source = workspace.temporary / "spoilt"
    source.write_bytes(data)
    await workspace.stage(source, Stored(key, len(data)))
    await workspace.put(source, Stored(key, len(data)))


def counts(report: StorageReport) -> dict[str, int]:
    return {name: getattr(report, name).count for name in ("missing", "wrong_size", "damaged")}


async def test_where_all_agree_nothing_is_found_and_nothing_removed(
    workspace: Workspace, reading: Reading, sessions: Sessions
) -> None:
    file, thumbnail, export = [await kept(workspace, data) for data in (b"file", b"thumb", b"export")]
    await refer(
        sessions,
        media(file, thumbnail_key=thumbnail),
        media(file),
        DataExport(user_id=OWNER, object_key=export, size=6, expires_at=datetime.now(UTC)),
    )
    report = await reconcile(workspace, reading, age=AT_ONCE, verify="")
    assert (report.objects, report.bytes, report.referenced, report.verified) == (3, 15, 3, 3)
    assert (report.unreferenced, report.removed) == (0, 0)
    assert not report.disagrees


async def test_what_is_lost_or_not_as_its_row_says_is_found(
    workspace: Workspace, reading: Reading, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    shorter, damaged, whole = [await kept(workspace, data) for data in (b"abcd", b"efgh", b"ijkl")]
    lost = ["0" * 64, "f" * 64]
    await refer(sessions, *(media(key) for key in (shorter, damaged, whole, *lost)))
    await spoil(workspace, shorter, b"abc")
    await spoil(workspace, damaged, b"EFGH")
    with caplog.at_level(logging.ERROR, logger=reconciliation.__name__):
        report = await reconcile(workspace, reading, age=AT_ONCE, verify="")
    assert report.missing.keys == lost
    assert report.wrong_size.keys == [shorter]
    assert report.damaged.keys == [damaged]
    assert counts(report) == {"missing": 2, "wrong_size": 1, "damaged": 1}
    assert (report.disagrees, report.removed) == (True, 0)
    [told] = [record for record in caplog.records if record.getMessage() == "storage_disagrees"]
    assert (vars(told)["missing"], vars(told)["damaged_keys"]) == (2, [damaged])


async def test_content_is_hashed_only_of_the_slice_and_within_the_limit(
    workspace: Workspace, reading: Reading, sessions: Sessions
) -> None:
    keys = sorted([await kept(workspace, b"%04d" % number) for number in range(4)])
    await refer(sessions, *(media(key) for key in keys))
    assert (await reconcile(workspace, reading)).verified == 0
    assert (await reconcile(workspace, reading, verify=keys[1][:8])).verified == 1
    assert (await reconcile(workspace, reading, verify="", limit=8)).verified == 2
    assert (await reconcile(workspace, reading, verify="", limit=None)).verified == 4


def test_every_key_has_its_day() -> None:
    days = {slice_of(1_800_000_000 + day * 86400) for day in range(256)}
    assert days == {f"{number:02x}" for number in range(256)}


async def test_strays_are_removed_when_they_are_old_enough(
    workspace: Workspace, reading: Reading, sessions: Sessions
) -> None:
    file, stray = await kept(workspace, b"file"), await kept(workspace, b"stray")
    await refer(sessions, media(file))
    report = await reconcile(workspace, reading)
    assert (report.unreferenced, report.removed) == (1, 0)
    report = await reconcile(workspace, reading, age=AT_ONCE, remove=False)
    assert (report.unreferenced, report.removed) == (1, 0)
    assert await workspace.info(stray) is not None
    report = await reconcile(workspace, reading, age=AT_ONCE)
    assert (report.unreferenced, report.removed) == (0, 1)
    assert await workspace.info(stray) is None
    assert await workspace.info(file) is not None
    assert not report.disagrees


async def test_pages_on_both_sides_may_end_anywhere(
    workspace: Workspace, reading: Reading, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "ROWS", 2)
    for store in ("folder", "bucket"):
        monkeypatch.setattr(f"app.services.workspace.{store}.PAGE", 3)
    keys = sorted([await kept(workspace, b"%04d" % number) for number in range(10)])
    removed, lost = keys[::5], keys[3:6]
    await refer(sessions, *(media(key, thumbnail_key=key) for key in keys if key not in removed))
    await workspace.remove(lost)
    report = await reconcile(workspace, reading, age=AT_ONCE)
    assert report.missing.keys == [key for key in lost if key not in removed]
    assert (report.objects, report.referenced) == (7, 8)
    assert report.removed == len(set(removed) - set(lost))


async def test_what_comes_and_goes_meanwhile_is_not_told(
    workspace: Workspace, reading: Reading, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look finds the object of the one, and no row of the other."""
    late, gone = await kept(workspace, b"late"), "0" * 64
    rows = [media(late), media(gone)]
    await refer(sessions, *rows)
    monkeypatch.setattr(workspace.store, "pages", nothing)
    info = workspace.info

    async def deleting(key: str) -> Any:
        async with transaction(sessions) as session:
            await session.delete(await session.get_one(type(rows[1]), rows[1].id))
        monkeypatch.setattr(workspace, "info", info)
        return await info(key)

    monkeypatch.setattr(workspace, "info", deleting)
    assert not (await reconcile(workspace, reading)).disagrees


async def nothing() -> AsyncIterator[list[Any]]:
    empty: list[list[Any]] = []
    for page in empty:
        yield page


async def test_only_the_first_findings_are_named_and_looked_at_again(
    workspace: Workspace, reading: Reading, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "NAMED", 2)
    monkeypatch.setattr(reconciliation, "CONFIRMED", 3)
    await refer(sessions, *(media(f"{number:064x}") for number in range(5)))
    looked: list[str] = []
    info = workspace.info

    async def noted(key: str) -> Any:
        looked.append(key)
        return await info(key)

    monkeypatch.setattr(workspace, "info", noted)
    report = await reconcile(workspace, reading)
    assert (report.missing.count, len(report.missing.keys), len(looked)) == (5, 2, 3)


async def test_a_database_that_refers_to_nothing_is_not_trusted_to_remove_much(
    workspace: Workspace, reading: Reading, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "FEW", 2)
    keys = [await kept(workspace, b"%d" % number) for number in range(3)]
    report = await reconcile(workspace, reading, age=AT_ONCE)
    assert (report.kept, report.removed, report.unreferenced, report.disagrees) == (True, 0, 3, True)
    await refer(sessions, media("0" * 64))
    report = await reconcile(workspace, reading, age=AT_ONCE)
    assert (report.kept, report.removed) == (False, 3)
    assert [await workspace.info(key) for key in keys] == [None] * 3


async def test_a_lost_object_is_no_damaged_one(
    workspace: Workspace, reading: Reading, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is deleted between the list and the look at its content."""
    key = await kept(workspace, b"file")
    await refer(sessions, media(key))

    def refuse(_key: str) -> Any:
        raise ServiceUnavailableException

    monkeypatch.setattr(workspace, "open", refuse)
    report = await reconcile(workspace, reading, verify="")
    assert (report.damaged.count, report.verified) == (0, 0)


async def test_progress_goes_by_the_keys(workspace: Workspace, reading: Reading) -> None:
    told: list[float] = []

    async def progress(share: float, _word: str) -> None:
        told.append(share)

    key = await kept(workspace, b"file")
    await reconcile(workspace, reading, progress=progress)
    assert told == [int(key[:4], 16) / 65536]


async def test_a_storage_that_is_away_is_told_and_nothing_is_called_missing(
    reading: Reading, settings: AppSettings, sessions: Sessions
) -> None:
    await refer(sessions, media("0" * 64))
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    away = Workspace.from_settings(make_settings(settings.state_dir, database, redis, **nowhere()))
    with pytest.raises(ServiceUnavailableException):
        await reconcile(away, reading)


async def test_a_folder_that_is_missing_is_told_and_nothing_is_called_missing(
    reading: Reading, settings: AppSettings, sessions: Sessions
) -> None:
    await refer(sessions, media("0" * 64))
    with pytest.raises(InsufficientStorageException, match="missing"):
        await reconcile(Workspace(settings.state_dir / "nowhere"), reading)


async def test_nothing_is_removed_from_a_folder_that_is_read_only(
    reading: Reading, settings: AppSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.from_settings(settings)
    await kept(workspace, b"stray")
    # Permission bits mean nothing to root, who runs these tests in some places.
    monkeypatch.setattr(os, "access", lambda *_: False)
    report = await reconcile(workspace, reading, age=AT_ONCE)
    assert (report.removed, report.unreferenced) == (0, 1)


async def test_leftovers_of_dead_processes_are_removed_and_counted(
    reading: Reading, settings: AppSettings
) -> None:
    workspace = Workspace.from_settings(settings)
    workspace.uploads.mkdir()
    left = workspace.uploads / "holdfast-upload-left"
    left.touch()
    then = time.time() - AGE - 60
    os.utime(left, (then, then))
    assert (await reconcile(workspace, reading)).leftovers == 1
    assert not left.exists()
