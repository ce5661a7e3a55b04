"""Resumable uploads from their first to their last byte."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security import digest
from app.exceptions.base import UnsupportedMediaTypeException
from app.models.base import new_id
from app.models.upload import Upload
from app.services.media import intake, quota
from app.services.media.quota import Allowance
from app.services.media.resumable import finishing, rows
from app.services.media.resumable.errors import UploadLockedException
from app.services.media.resumable.part import PATIENCE, Part, held, in_thread, part_path
from app.services.media.resumable.record import Record, Unrecorded
from app.services.media.resumable.rows import Store
from app.services.media.resumable.writer import Checksum, Writer, fill, too_long

GLANCE: Final = 2.5
"""Seconds that somebody who only asks waits for a sender whose connection may be dead."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A file that somebody wants to send: its bytes, its name, and the metadata as they were sent."""

    length: int
    name: str | None
    described: str | None


async def create(
    session: AsyncSession,
    store: Store,
    announced: Announced,
    body: AsyncIterator[bytes],
    *,
    allowance: Allowance,
    limit: int,
    checksum: Checksum | None = None,
    claim: Callable[[str], Awaitable[None]] | None = None,
) -> Upload:
    """Begin an upload, with the bytes that came along; the session is not touched before they are durable.

    Args:
        session: the caller's transaction, with which the upload begins to exist.
        store: where uploads live.
        announced: what is to come.
        body: the first bytes; often none.
        allowance: what the account may store.
        limit: the most bytes of a file.
        checksum: of the body.
        claim: told what was sent, as a digest, before anything is done that would stay.

    Raises:
        PayloadTooLargeException: it is over the limit, or more came than was announced.
        QuotaExceededException: the account has no room for it.
        UnsupportedMediaTypeException: its content is none of the accepted types.
        ChecksumMismatchException: the body is not what was meant.
        InsufficientStorageException: the workspace is missing, read-only or full.
    """
    intake.require_size(announced.length, limit=limit)
    await allowance.require(announced.length)
    await in_thread(store.workspace.require_room, announced.length)
    upload = Upload(id=new_id(), owner_id=allowance.owner_id, received=0, writer=0, **asdict(announced))
    part = await in_thread(Part.create, part_path(store.workspace, upload.id))
    try:
        writer = Writer(store.workspace, part, upload, Unrecorded(), checksum)
        await fill(writer, body)
        upload.received = writer.position
        if is_whole(upload):
            media_type = await finishing.type_of(part)
            upload.mime_type, upload.sha256 = media_type.mime, await in_thread(part.digest)
        if claim is not None:
            content = upload.sha256 or await in_thread(part.digest)
            await claim(digest(f"{upload.length} {upload.described} {content}"))
        await quota.reserve(session, upload.owner_id, quota=allowance.quota, size=upload.length)
        await _add(session, store, part, upload)
    except BaseException:
        part.remove()
        raise
    finally:
        part.close()
    return upload


async def _add(session: AsyncSession, store: Store, part: Part, upload: Upload) -> None:
    upload.expires_at = rows.later(store.expiry)
    session.add(upload)
    await session.flush()
    if is_whole(upload):
        await finishing.file_whole(session, store, part, upload)
    await session.refresh(upload)


async def append(
    store: Store,
    upload_id: uuid.UUID,
    body: AsyncIterator[bytes],
    *,
    owner_id: uuid.UUID,
    offset: int,
    announced: int = 0,
    checksum: Checksum | None = None,
) -> Upload:
    """Take the next bytes of an upload; with the last one it becomes a media file.

    Args:
        store: where uploads live.
        upload_id: which upload.
        body: the bytes.
        owner_id: whose it must be.
        offset: where they begin.
        announced: how many they are, 0 where that was not said.
        checksum: of the body.

    Returns:
        The upload as it is now.

    Raises:
        NotFoundException, UploadGoneException: there is no such upload (any more).
        OffsetMismatchException: the upload does not end there.
        UploadLockedException: another request is sending it.
        InterruptedException: another request has gone on with it.
        and what ``create`` raises.
    """
    async with store.begin() as session:
        upload = await rows.find(session, upload_id, owner_id=owner_id)
    rows.require_offset(upload, offset)
    if offset + announced > upload.length:
        raise too_long(upload)
    async with held(part_path(store.workspace, upload_id), patience=PATIENCE) as part:
        async with store.begin() as session:
            # As it is now that nobody else can write.
            upload = await rows.find(session, upload_id, owner_id=owner_id)
            rows.require_offset(upload, offset)
            number = upload.writer if is_whole(upload) else await rows.become_writer(session, upload)
        if not is_whole(upload):
            if part is None or await in_thread(part.size) < upload.received:
                raise finishing.lost(upload)
            record = Record(store, upload_id, number)
            writer = Writer(store.workspace, part, upload, record, checksum)
            upload.received = await _append(store, writer, body)
        if is_whole(upload):
            await finishing.finish(store, part, upload)
    async with store.begin() as session:
        return await rows.find(session, upload_id, owner_id=owner_id)


async def _append(store: Store, writer: Writer, body: AsyncIterator[bytes]) -> int:
    await writer.begin()
    try:
        await fill(writer, body)
    except UnsupportedMediaTypeException:
        await finishing.end(store, writer.upload_id)
        raise
    return writer.position


async def look(store: Store, upload_id: uuid.UUID, *, owner_id: uuid.UUID, patience: float = 0.0) -> Upload:
    """How far an upload is. One whose bytes are all there, and whose last request died, is finished now.

    Args:
        store: where uploads live.
        upload_id: which upload.
        owner_id: whose it must be.
        patience: seconds to wait for another request to write down what it got.

    Raises:
        NotFoundException, UploadGoneException: there is no such upload (any more).
        UnsupportedMediaTypeException: it is whole, and none of the accepted types; the upload is ended.
    """
    async with store.begin() as session:
        upload = await rows.find(session, upload_id, owner_id=owner_id)
    if upload.finished_at is not None or not (patience or is_whole(upload)):
        return upload
    with suppress(UploadLockedException):
        await settle(store, upload, patience=patience or GLANCE)
    async with store.begin() as session:
        return await rows.find(session, upload_id, owner_id=owner_id)


async def settle(store: Store, upload: Upload, *, patience: float) -> None:
    """Wait until nobody writes, and finish the upload if it is whole then.

    Raises:
        UploadLockedException: somebody writes on.
        and what ``finish`` raises.
    """
    async with held(part_path(store.workspace, upload.id), patience=patience) as part:
        async with store.begin() as session:
            upload = await rows.find(session, upload.id, owner_id=upload.owner_id)
        if is_whole(upload):
            await finishing.finish(store, part, upload)


async def terminate(store: Store, upload_id: uuid.UUID, *, owner_id: uuid.UUID) -> None:
    """End an upload and remove its bytes; a media file that it has become stays.

    Raises:
        NotFoundException, UploadGoneException: there is no such upload (any more).
    """
    async with store.begin() as session:
        await rows.find(session, upload_id, owner_id=owner_id)
    await finishing.end(store, upload_id)


def is_whole(upload: Upload) -> bool:
    """Whether all bytes are here and durable."""
    return upload.received == upload.length
