"""Objects that no row refers to are removed, and nothing else."""

import asyncio
from datetime import UTC, datetime
from functools import partial

import anyio
import pytest

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.exceptions.base import ServiceUnavailableException
from app.models.base import Base
from app.models.data_export import DataExport
from app.models.media_file import MediaFile
from app.models.upload import Upload
from app.services.media import strays
from app.services.media.strays import (
    REFERENCES,
    objects_of,
    remove_unreferenced,
    removed_on_error,
    secure,
)
from app.services.workspace import Workspace
from app.services.workspace.locks import hold
from tests.accounts import OWNER
from tests.services.media.files import media

KEY = "ab" * 32


@pytest.fixture
def workspace(settings: AppSettings) -> Workspace:
    return Workspace.from_settings(settings)


async def remove(sessions: Sessions, workspace: Workspace, *keys: str) -> int:
    async with transaction(sessions) as session:
        return await remove_unreferenced(session, workspace, keys)


def test_every_column_of_keys_is_known() -> None:
    """A column that is not would have its objects removed."""
    named = {f"{reference.table.__tablename__}.{reference.key.key}" for reference in REFERENCES}
    columns = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name == "sha256" or column.name.endswith("_key")
    }
    assert named == columns


def test_all_objects_of_rows_are_named() -> None:
    file, export = media("1" * 64, thumbnail_key="2" * 64), DataExport(object_key="3" * 64)
    assert objects_of(file, export) == {"1" * 64, "2" * 64, "3" * 64}
    assert objects_of(media("1" * 64), DataExport()) == {"1" * 64}


async def test_what_nothing_refers_to_is_removed(sessions: Sessions, workspace: Workspace) -> None:
    stored = await workspace.keep(b"stray")
    assert await remove(sessions, workspace, stored.key, KEY) == 2
    assert not workspace.path(stored.key).exists()
    assert await remove(sessions, workspace) == 0


async def test_what_a_row_refers_to_stays(sessions: Sessions, workspace: Workspace) -> None:
    columns = [each.key.key for each in REFERENCES if each.table is MediaFile and each.key.key != "sha256"]
    keys = [(await workspace.keep(data.encode())).key for data in ("file", "export", "upload", *columns)]
    later = datetime.now(UTC)
    upload = Upload(owner_id=OWNER, length=6, received=6, sha256=keys[2], expires_at=later)
    async with transaction(sessions) as session:
        session.add(media(keys[0], **dict(zip(columns, keys[3:], strict=True))))
        session.add_all([DataExport(user_id=OWNER, object_key=keys[1], expires_at=later), upload])
    assert await remove(sessions, workspace, *keys) == 0
    assert all(workspace.path(key).exists() for key in keys)


async def test_an_object_stays_until_the_last_row_of_it_goes(
    sessions: Sessions, workspace: Workspace
) -> None:
    key = (await workspace.keep(b"shared")).key
    first, second = media(key), media(key)
    async with transaction(sessions) as session:
        session.add_all([first, second])
    for row, left in ((first, True), (second, False)):
        async with transaction(sessions) as session:
            await session.delete(await session.get_one(MediaFile, row.id))
            await session.flush()
            await remove_unreferenced(session, workspace, {key})
        assert workspace.path(key).exists() is left


async def test_what_is_being_stored_anew_stays(sessions: Sessions, workspace: Workspace) -> None:
    """Its row has not committed yet, so nobody else can see it."""
    key = (await workspace.keep(b"content")).key
    async with transaction(sessions) as storing:
        await hold(storing, key)
        assert await remove(sessions, workspace, key) == 0
        storing.add(media(key))
    assert await remove(sessions, workspace, key) == 0
    assert workspace.path(key).exists()


async def test_who_stores_the_same_content_waits_for_a_removal_and_puts_it_anew(
    sessions: Sessions, workspace: Workspace
) -> None:
    key = (await workspace.keep(b"content")).key
    async with (
        sessions() as remover,
        transaction(sessions) as storing,
        workspace.receive(limit=9) as incoming,
    ):
        await incoming.write(b"content")
        await remove_unreferenced(remover, workspace, {key})
        assert not workspace.path(key).exists()
        keeping = asyncio.create_task(incoming.keep(lambda held: hold(storing, held)))
        await remover.commit()
        assert (await keeping).key == key
        storing.add(media(key))
    assert await remove(sessions, workspace, key) == 0
    assert workspace.path(key).exists()


async def test_what_was_removed_before_it_was_secured_is_told(
    sessions: Sessions, workspace: Workspace
) -> None:
    key = (await workspace.keep(b"content")).key
    async with transaction(sessions) as session:
        await secure(session, workspace, key, None)
    await remove(sessions, workspace, key)
    async with transaction(sessions) as session:
        with pytest.raises(ServiceUnavailableException, match="removed meanwhile"):
            await secure(session, workspace, key)


async def test_what_is_secured_stays(sessions: Sessions, workspace: Workspace) -> None:
    key = (await workspace.keep(b"content")).key
    async with transaction(sessions) as session:
        await secure(session, workspace, key)
        assert await remove(sessions, workspace, key) == 0


async def test_a_storage_that_takes_too_long_is_told(
    sessions: Sessions, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_keys: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(strays, "PATIENCE", 0.01)
    monkeypatch.setattr(workspace, "remove", never)
    with pytest.raises(ServiceUnavailableException, match="too long"):
        await remove(sessions, workspace, KEY)


async def fail(sessions: Sessions, workspace: Workspace, key: str, *, can_remove: bool = True) -> None:
    begin = partial(transaction, sessions) if can_remove else None

    async def store() -> None:
        async with transaction(sessions) as session, removed_on_error(session, workspace, begin) as sent:
            sent.add(key)
            await hold(session, key)
            session.add(media(key))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store()


async def test_an_error_takes_back_what_was_stored_for_it(sessions: Sessions, workspace: Workspace) -> None:
    key = (await workspace.keep(b"content")).key
    await fail(sessions, workspace, key, can_remove=False)
    assert workspace.path(key).exists()
    await fail(sessions, workspace, key)
    assert not workspace.path(key).exists()


async def test_an_error_takes_nothing_of_others(sessions: Sessions, workspace: Workspace) -> None:
    key = (await workspace.keep(b"content")).key
    async with transaction(sessions) as session:
        session.add(media(key))
    await fail(sessions, workspace, key)
    assert workspace.path(key).exists()


async def test_what_cannot_be_taken_back_is_logged_and_hides_no_error(
    sessions: Sessions,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_keys: object) -> None:
        raise ServiceUnavailableException("away")

    monkeypatch.setattr(workspace, "remove", broken)
    await fail(sessions, workspace, KEY)
    assert "refused_not_removed" in caplog.text
