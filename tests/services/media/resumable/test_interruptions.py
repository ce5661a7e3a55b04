"""What is held of an upload whose sender, process or disk goes away."""

import asyncio
import errno
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import (
    BadRequestException,
    InsufficientStorageException,
    NotFoundException,
    RequestTimeoutException,
)
from app.models.upload import Upload
from app.services.media import intake
from app.services.media.resumable import (
    Checksum,
    Store,
    append,
    appending,
    finishing,
    look,
    rows,
    terminate,
    writer,
)
from app.services.media.resumable.errors import (
    ChecksumMismatchException,
    InterruptedException,
    UploadGoneException,
    UploadLockedException,
)
from app.services.media.resumable.part import Part, in_thread, part_path
from app.services.media.strays import remove_unreferenced
from app.services.workspace import Stored, Workspace
from app.services.workspace.locks import seize
from tests.accounts import OWNER
from tests.servers import DEADLINE
from tests.services.media.resumable.conftest import DATA, Begin, chunks, media, row
from tests.workers.waiting import until

Body = AsyncIterator[bytes]


def go_on(
    store: Store, upload_id: uuid.UUID, offset: int, body: Body, checksum: Checksum | None = None
) -> Any:
    return append(store, upload_id, body, owner_id=OWNER, offset=offset, checksum=checksum)


async def send_rest(store: Store, upload_id: uuid.UUID) -> bytes:
    """Go on where the upload ends, to its end; gives what is stored in the end."""
    offset = (await row(store, upload_id)).received
    await go_on(store, upload_id, offset, chunks(DATA[offset:]))
    (file,) = await media(store)
    return store.workspace.path(file.sha256).read_bytes()


async def breaking(error: Exception, *given: bytes) -> Body:
    for chunk in given:
        yield chunk
    raise error


@pytest.mark.parametrize("error", [BadRequestException(), RequestTimeoutException()], ids=["gone", "slow"])
async def test_what_came_before_the_connection_broke_is_held(
    store: Store, begin: Begin, error: Exception
) -> None:
    upload_id = await begin(10)
    with pytest.raises(type(error)):
        await go_on(store, upload_id, 10, breaking(error, DATA[10:30_000], DATA[30_000:50_000]))
    assert (await row(store, upload_id)).received == 50_000
    assert await send_rest(store, upload_id) == DATA


async def test_of_a_piece_that_is_still_to_be_proven_nothing_is_held(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)
    with pytest.raises(BadRequestException):
        await go_on(
            store, upload_id, 10, breaking(BadRequestException(), DATA[10:50_000]), Checksum("sha1", b"")
        )
    assert (await row(store, upload_id)).received == 10
    assert await send_rest(store, upload_id) == DATA


async def test_a_process_that_is_made_to_stop_keeps_what_came(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)
    sent = asyncio.Event()

    async def body() -> Body:
        yield DATA[10:40_000]
        sent.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(go_on(store, upload_id, 10, body()))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await row(store, upload_id)).received == 40_000


async def test_what_a_killed_process_left_behind_the_promise_is_cut_off(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)
    with part_path(store.workspace, upload_id).open("ab") as file:
        file.write(b"written and never promised" * 10_000)
    assert await send_rest(store, upload_id) == DATA


async def test_an_offset_is_written_down_after_its_bytes_are_on_the_disk(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await begin()
    seen: list[str] = []
    sync, advance = Part.sync, rows.advance

    def note_sync(part: Part) -> None:
        seen.append(f"synced {part.size()}")
        sync(part)

    async def note_advance(*args: Any, received: int, **named: Any) -> None:
        seen.append(f"promised {received}")
        await advance(*args, received=received, **named)

    monkeypatch.setattr(Part, "sync", note_sync)
    monkeypatch.setattr(rows, "advance", note_advance)
    monkeypatch.setattr(writer, "CHECKPOINT", 30_000)
    monkeypatch.setattr(writer, "CHUNK", 1)
    await go_on(store, upload_id, 0, chunks(DATA[:20_000], DATA[20_000:40_000], DATA[40_000:60_000]))
    assert seen == ["synced 40000", "promised 40000", "synced 60000", "promised 60000"]


async def test_a_slow_senders_bytes_are_promised_after_a_while(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await begin()
    monkeypatch.setattr(writer, "CHECKPOINT_SECONDS", 0)
    promised = []

    async def body() -> Body:
        yield DATA[:20_000]
        promised.append((await row(store, upload_id)).received)
        yield DATA[20_000:20_001]

    await go_on(store, upload_id, 0, body())
    assert promised == [20_000]


async def test_a_sender_that_pauses_makes_way_for_who_comes_back(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first connection is dead, and nobody told us."""
    monkeypatch.setattr(writer, "PAUSE", 0.05)
    upload_id = await begin(10)
    alive = asyncio.Event()

    async def body() -> Body:
        yield DATA[10:40_000]
        await alive.wait()
        yield b"too late"

    dead = asyncio.create_task(go_on(store, upload_id, 10, body()))
    await until(lambda: has_received(store, upload_id, 40_000), "the pause")
    assert (await look(store, upload_id, owner_id=OWNER, patience=DEADLINE)).received == 40_000
    assert await send_rest(store, upload_id) == DATA
    alive.set()
    with pytest.raises(InterruptedException):
        await dead
    assert len(await media(store)) == 1


async def test_a_sender_that_paused_too_long_cannot_go_on(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another has gone on, has not finished, and is not there now: only the row tells."""
    monkeypatch.setattr(writer, "PAUSE", 0.05)
    upload_id = await begin(10)
    alive = asyncio.Event()

    async def body() -> Body:
        yield DATA[10:40_000]
        await alive.wait()
        yield b"y" * 20_000

    paused = asyncio.create_task(go_on(store, upload_id, 10, body()))
    await until(lambda: has_received(store, upload_id, 40_000), "the pause")
    await go_on(store, upload_id, 40_000, chunks(DATA[40_000:50_000]))
    alive.set()
    with pytest.raises(InterruptedException):
        await paused
    assert await send_rest(store, upload_id) == DATA


async def test_where_locks_do_not_hold_the_row_still_lets_one_write_alone(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)
    seen = await row(store, upload_id)
    await go_on(store, upload_id, 10, chunks(DATA[10:20]))
    with pytest.raises(InterruptedException):
        async with store.begin() as session:
            await rows.become_writer(session, seen)


async def has_received(store: Store, upload_id: uuid.UUID, size: int) -> bool:
    return (await row(store, upload_id)).received == size


@pytest.mark.parametrize("proven", [False, True])
async def test_a_sender_that_paused_goes_on_if_nobody_came(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch, proven: bool
) -> None:
    monkeypatch.setattr(writer, "PAUSE", 0.01)
    paused = asyncio.Event()
    unlock = Part.unlock

    def note(part: Part) -> None:
        unlock(part)
        paused.set()

    monkeypatch.setattr(Part, "unlock", note)
    upload_id = await begin(10)

    async def body() -> Body:
        yield DATA[10:40_000]
        await paused.wait()
        yield DATA[40_000:]

    checksum = Checksum("sha256", hashlib.sha256(DATA[10:]).digest()) if proven else None
    assert (await go_on(store, upload_id, 10, body(), checksum)).media_id is not None
    (file,) = await media(store)
    assert store.workspace.path(file.sha256).read_bytes() == DATA


async def test_a_sender_whose_bytes_come_is_not_disturbed(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "PATIENCE", 0.1)
    upload_id = await begin(10)
    refused: list[type[Exception]] = []

    async def body() -> Body:
        yield DATA[10:40_000]
        with pytest.raises(UploadLockedException) as caught:
            await go_on(store, upload_id, 10, chunks(b"x"))
        refused.append(caught.type)
        assert (await look(store, upload_id, owner_id=OWNER, patience=0.1)).received == 10
        yield DATA[40_000:]

    assert (await go_on(store, upload_id, 10, body())).media_id is not None
    assert refused == [UploadLockedException]


async def test_of_many_at_once_one_gets_through_and_the_file_is_whole(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)

    def one() -> Any:
        return go_on(store, upload_id, 10, chunks(DATA[10:40_000], DATA[40_000:]))

    results = await asyncio.gather(*(one() for _ in range(6)), return_exceptions=True)
    assert sum(not isinstance(result, Exception) for result in results) == 1
    (file,) = await media(store)
    assert store.workspace.path(file.sha256).read_bytes() == DATA


async def test_an_upload_that_is_ended_stops_its_sender(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)

    async def body() -> Body:
        yield DATA[10:40_000]
        await terminate(store, upload_id, owner_id=OWNER)

    with pytest.raises(NotFoundException):
        await go_on(store, upload_id, 10, body())
    assert list(store.workspace.uploads.iterdir()) == []


async def test_a_sender_that_paused_while_its_upload_was_ended_is_told_that_it_is_gone(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PAUSE", 0.05)
    upload_id = await begin(10)

    async def body() -> Body:
        yield DATA[10:40_000]
        await until(lambda: has_received(store, upload_id, 40_000), "the pause")
        await terminate(store, upload_id, owner_id=OWNER)
        yield DATA[40_000:]

    with pytest.raises(NotFoundException):
        await go_on(store, upload_id, 10, body())


async def test_a_writer_who_was_overtaken_in_an_upload_that_has_expired_is_told_so(
    store: Store, begin: Begin
) -> None:
    upload_id = await begin(10)
    async with store.begin() as session:
        (await session.get_one(Upload, upload_id)).expires_at = func.now() - timedelta(hours=1)
    with pytest.raises(UploadGoneException):
        async with store.begin() as session:
            await rows.require_writer(session, upload_id, 7)


async def test_bytes_that_were_lost_are_told_and_logged(
    store: Store, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    upload_id = await begin(10)
    os.truncate(part_path(store.workspace, upload_id), 9)
    with pytest.raises(UploadGoneException, match="lost"):
        await go_on(store, upload_id, 10, chunks(DATA[10:]))
    part_path(store.workspace, upload_id).unlink()
    with pytest.raises(UploadGoneException, match="lost"):
        await go_on(store, upload_id, 10, chunks(DATA[10:]))
    assert "upload_lost" in caplog.text


def full(*_args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
async def test_a_disk_that_is_full_costs_nothing_that_was_promised(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    upload_id = await begin(10)
    with monkeypatch.context() as broken:
        broken.setattr(os, call, full)
        with pytest.raises(InsufficientStorageException, match="full"):
            await go_on(store, upload_id, 10, chunks(DATA[10:50_000]))
    assert (await row(store, upload_id)).received == 10
    assert await send_rest(store, upload_id) == DATA


async def test_a_workspace_that_runs_out_of_room_ends_the_request_alone(
    store: Store, begin: Begin, workspace: Workspace
) -> None:
    upload_id = await begin(10)
    workspace.minimum_free = 2**60
    with pytest.raises(InsufficientStorageException, match="full"):
        await go_on(store, upload_id, 10, chunks(DATA[10:]))
    workspace.minimum_free = 0
    assert await send_rest(store, upload_id) == DATA


async def test_no_upload_begins_where_there_is_no_room(begin: Begin, workspace: Workspace) -> None:
    with pytest.raises(InsufficientStorageException, match="full"):
        await begin(length=2**59)
    assert not workspace.uploads.exists()


async def test_an_upload_that_cannot_begin_leaves_nothing(
    begin: Begin, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InsufficientStorageException, match="full"):
        await begin()
    assert list(workspace.uploads.iterdir()) == []


Break = Callable[[pytest.MonkeyPatch], None]


class Death(Exception):
    """Stands for ``kill -9``."""


def die(*_args: object, **_named: object) -> None:
    raise Death


def before_the_hash(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Part, "digest", die)


def before_the_move(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Workspace, "put", die)


def after_the_move(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "add", die)


@pytest.mark.parametrize("death", [before_the_hash, before_the_move, after_the_move])
async def test_whoever_asks_after_a_death_at_the_end_gets_the_media_file(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch, death: Break
) -> None:
    upload_id = await begin(10)
    with monkeypatch.context() as broken:
        death(broken)
        with pytest.raises(Death):
            await go_on(store, upload_id, 10, chunks(DATA[10:]))
    assert (await row(store, upload_id)).received == len(DATA)
    asked = await asyncio.gather(*(look(store, upload_id, owner_id=OWNER) for _ in range(3)))
    (file,) = await media(store)
    assert {upload.media_id for upload in asked} == {file.id}
    assert store.workspace.path(file.sha256).read_bytes() == DATA


async def test_who_waited_for_a_file_that_was_moved_meanwhile_looks_where_it_went(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await begin(10)
    with monkeypatch.context() as broken:
        before_the_move(broken)
        with pytest.raises(Death):
            await go_on(store, upload_id, 10, chunks(DATA[10:]))
    key = (await row(store, upload_id)).sha256
    mover = Part.open(part_path(store.workspace, upload_id))
    assert mover is not None
    assert key is not None
    assert mover.lock()
    waiting, lock = asyncio.Event(), Part.lock

    def note(part: Part) -> bool:
        waiting.set()
        return lock(part)

    monkeypatch.setattr(Part, "lock", note)
    asking = asyncio.create_task(look(store, upload_id, owner_id=OWNER, patience=DEADLINE))
    await waiting.wait()
    await store.workspace.put(mover.path, Stored(key, len(DATA)))
    mover.close()
    assert (await asking).media_id is not None
    assert store.workspace.path(key).read_bytes() == DATA


async def test_who_finishes_what_another_has_moved_already_adds_nothing(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)
    before = await row(store, upload_id)
    await go_on(store, upload_id, 10, chunks(DATA[10:]))
    before.received, before.sha256, before.mime_type = len(DATA), "0" * 64, "image/jpeg"
    (file,) = await media(store)
    assert await finishing.finish(store, None, before) == file.id
    assert len(await media(store)) == 1


async def test_a_thread_is_waited_for_by_a_cancelled_task() -> None:
    begun, go, ended = asyncio.Event(), asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        ended.append(True)

    task = asyncio.create_task(in_thread(work))
    await begun.wait()
    task.cancel()
    loop.call_soon(go.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_a_wrong_checksum_leaves_the_file_as_it_was(store: Store, begin: Begin) -> None:
    upload_id = await begin(10)
    with pytest.raises(ChecksumMismatchException):
        await go_on(store, upload_id, 10, chunks(b"x" * 50_000), Checksum("sha1", b"no"))
    assert part_path(store.workspace, upload_id).read_bytes() == DATA[:10]


async def test_a_removal_of_the_same_content_that_is_under_way_is_waited_for(
    store: Store, begin: Begin
) -> None:
    """It looked before this upload's row could tell it that the object is wanted."""
    key = hashlib.sha256(DATA).hexdigest()
    upload_id = await begin(10)
    async with store.begin() as remover:
        assert await seize(remover, [key]) == {key}
        sending = asyncio.create_task(send_rest(store, upload_id))
        await until(partial(is_waiting, remover), "the upload to wait")
        assert (await row(store, upload_id)).sha256 is None
        await store.workspace.remove({key})
    assert await sending == DATA


async def test_a_removal_of_content_that_comes_with_the_beginning_does_not_take_it(
    store: Store, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between the object and the commit of its row."""
    put = Workspace.put

    async def put_and_discard(workspace: Workspace, source: Path, stored: Stored) -> None:
        await put(workspace, source, stored)
        async with store.begin() as remover:
            assert await remove_unreferenced(remover, workspace, {stored.key}) == 0

    monkeypatch.setattr(Workspace, "put", put_and_discard)
    upload_id = await begin(len(DATA))
    assert (await row(store, upload_id)).media_id is not None
    (file,) = await media(store)
    assert store.workspace.path(file.sha256).read_bytes() == DATA


async def is_waiting(session: AsyncSession) -> bool:
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
    )
    return bool(await session.scalar(waiting))
