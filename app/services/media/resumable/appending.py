"""The next bytes of a resumable upload."""

import uuid
from collections.abc import AsyncIterator

from app.exceptions.base import UnsupportedMediaTypeException
from app.models.upload import Upload
from app.services.media.resumable import finishing, rows
from app.services.media.resumable.part import PATIENCE, held, in_thread, part_path
from app.services.media.resumable.record import Record
from app.services.media.resumable.rows import Store
from app.services.media.resumable.writer import Checksum, Writer, fill, too_long


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
            number = upload.writer if upload.is_whole else await rows.become_writer(session, upload)
        if not upload.is_whole:
            if part is None or await in_thread(part.size) < upload.received:
                raise finishing.lost(upload)
            record = Record(store, upload_id, number)
            writer = Writer(store.workspace, part, upload, record, checksum)
            upload.received = await _append(store, writer, body)
        if upload.is_whole:
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
