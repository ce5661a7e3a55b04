"""What becomes of uploads that nobody goes on with."""

import os
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, literal, update

from app.exceptions.base import NotFoundException
from app.models.upload import Upload
from app.services.media import intake
from app.services.media.reconciliation import reconcile
from app.services.media.resumable import Store, append, look
from app.services.media.resumable.errors import UploadGoneException
from app.services.media.resumable.part import Part, part_path
from app.services.media.resumable.pruning import finish_abandoned, prune_uploads, remove_orphans
from app.services.workspace import Workspace, storage_error
from app.services.workspace.status import State
from tests.accounts import OWNER
from tests.services.media.resumable.conftest import DATA, Begin, chunks, media, row


async def change(store: Store, upload_id: uuid.UUID, **values: Any) -> None:
    async with store.begin() as session:
        await session.execute(update(Upload).where(Upload.id == upload_id).values(**values))


async def expire(store: Store, upload_id: uuid.UUID) -> None:
    await change(store, upload_id, expires_at=func.now() - literal(timedelta(seconds=1)))


async def prune(store: Store) -> int:
    async with store.begin() as session:
        return await prune_uploads(session, workspace=store.workspace, limit=100)


async def whole(store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> uuid.UUID:
    """An upload whose bytes are all there, and whose process died before it was finished."""
    upload_id = await begin(10)

    async def die(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(intake, "add", die)
        with pytest.raises(ConnectionError):
            await append(store, upload_id, chunks(DATA[10:]), owner_id=OWNER, offset=10)
    return upload_id


async def test_an_expired_upload_is_gone_and_swept_with_its_bytes(store: Store, begin: Begin) -> None:
    old, new = await begin(10), await begin(10)
    await expire(store, old)
    for attempt in (
        look(store, old, owner_id=OWNER),
        append(store, old, chunks(), owner_id=OWNER, offset=10),
    ):
        with pytest.raises(UploadGoneException):
            await attempt
    assert await prune(store) == 1
    assert list(store.workspace.uploads.iterdir()) == [part_path(store.workspace, new)]


async def test_each_byte_gives_more_time(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)
    await change(store, upload_id, expires_at=func.now() + literal(timedelta(minutes=1)))
    before = (await row(store, upload_id)).expires_at
    await append(store, upload_id, chunks(DATA[10:20]), owner_id=OWNER, offset=10)
    assert (await row(store, upload_id)).expires_at - before > timedelta(minutes=50)


async def test_what_a_finished_upload_became_is_known_until_it_expires(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)
    await append(store, upload_id, chunks(DATA[10:]), owner_id=OWNER, offset=10)
    assert await prune(store) == 0
    await expire(store, upload_id)
    assert (await look(store, upload_id, owner_id=OWNER)).media_id is not None
    assert await prune(store) == 1
    (file,) = await media(store)
    assert store.workspace.path(file.sha256).exists()


async def test_a_whole_upload_that_nobody_asks_for_is_finished_and_never_swept(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await whole(store, begin, monkeypatch)
    await expire(store, upload_id)
    assert await prune(store) == 0
    assert await finish_abandoned(store, after=timedelta(hours=1)) == 0
    assert await finish_abandoned(store, after=timedelta(0)) == 1
    assert await finish_abandoned(store, after=timedelta(0)) == 0
    (file,) = await media(store)
    assert store.workspace.path(file.sha256).read_bytes() == DATA


async def test_one_that_cannot_be_finished_holds_no_other_up(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = [await whole(store, begin, monkeypatch) for _ in range(2)]
    await change(store, first, sha256=None)
    digest = Part.digest

    def fail(part: Part) -> str:
        if part.path == part_path(store.workspace, first):
            raise storage_error(State.READ_ONLY)
        return digest(part)

    # The first has been moved to the place that both share, as far as its row knows nothing of it.
    part_path(store.workspace, first).write_bytes(DATA)
    monkeypatch.setattr(Part, "digest", fail)
    assert await finish_abandoned(store, after=timedelta(0)) == 1
    assert "upload_not_finished" in caplog.text


async def test_one_whose_bytes_were_lost_is_forgotten_when_it_expires(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await whole(store, begin, monkeypatch)
    await change(store, upload_id, sha256=None)
    assert await finish_abandoned(store, after=timedelta(0)) == 0
    assert (await row(store, upload_id)).finished_at is None
    await expire(store, upload_id)
    assert await finish_abandoned(store, after=timedelta(0)) == 0
    with pytest.raises(NotFoundException):
        await look(store, upload_id, owner_id=OWNER)


async def test_the_object_of_an_upload_that_is_not_finished_yet_is_no_stray(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await whole(store, begin, monkeypatch)
    key = (await row(store, upload_id)).sha256
    assert key is not None
    age(store.workspace.path(key))
    assert (await reconcile(store.workspace, store.begin, age=60)).removed == 0
    assert (await look(store, upload_id, owner_id=OWNER)).media_id is not None


async def test_aged_bytes_without_a_row_are_removed(store: Store, begin: Begin, workspace: Workspace) -> None:
    known = part_path(workspace, await begin(10))
    old, new = (part_path(workspace, uuid.uuid4()) for _ in range(2))
    for path in (old, new):
        path.touch()
    foreign = workspace.uploads / "resumable-of-somebody-else"
    foreign.touch()
    for path in (old, known, foreign):
        age(path)
    assert await remove_orphans(workspace, store.begin, age=60) == 1
    assert set(workspace.uploads.iterdir()) == {known, new, foreign}


def age(path: Path) -> None:
    then = time.time() - 3600
    os.utime(path, (then, then))
