"""Turns an upload whose bytes are all there into a media file: once, whatever dies on the way."""

import logging
import uuid
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import UnsupportedMediaTypeException
from app.models.upload import Upload
from app.models.user import User
from app.services.media import intake
from app.services.media.resumable import rows
from app.services.media.resumable.errors import UploadGoneException
from app.services.media.resumable.part import Part, in_thread, part_path, remove
from app.services.media.resumable.rows import Store
from app.services.media.strays import secure
from app.services.media.types import MEDIA_TYPES, MediaType
from app.services.workspace import Stored
from app.services.workspace.incoming import HEAD
from app.services.workspace.locks import hold

_log: Final = logging.getLogger(__name__)


async def type_of(part: Part) -> MediaType:
    """What the whole file is.

    Raises:
        UnsupportedMediaTypeException: none of the accepted types.
    """

    async def read(start: int, size: int) -> bytes:
        return await in_thread(part.read, start, size)

    return await intake.type_of(await read(0, HEAD), read)


async def finish(store: Store, part: Part | None, upload: Upload) -> uuid.UUID | None:
    """Make the media file of a whole upload, if nobody has.

    The hash is taken here, of the file as it is on the disk, and not on the way: the state of a hash can
    neither be kept in a row nor handed to another process, and each byte is hashed once either way. The row
    knows it before the file is moved. So whoever finds no file any more knows where it went.

    Args:
        store: where uploads live.
        part: the locked file; None where it has been moved already.
        upload: the row, whose bytes are all there.

    Returns:
        The media file; None where it has been deleted since.

    Raises:
        UnsupportedMediaTypeException: it is none of the accepted types. The upload is ended.
        InsufficientStorageException: the workspace is away; what is there stays.
        UploadGoneException: the bytes were lost.
        NotFoundException: the upload was ended meanwhile.
    """
    if upload.finished_at is not None:
        return upload.media_id
    if part is not None:
        media_type, key = await _known(store, part, upload)
        stored = await stage(store, part, key)
        await store.workspace.put(part.path, stored)
    else:
        media_type, key = _moved(upload)
    async with store.begin() as session:
        media_id = await _file(session, store, upload, media_type, key)
    if part is not None:
        # Where a place is no folder beside it, the file has not gone there by itself.
        await in_thread(part.remove)
    return media_id


async def _known(store: Store, part: Part, upload: Upload) -> tuple[MediaType, str]:
    if await in_thread(part.size) != upload.length:
        raise lost(upload)
    if upload.sha256 is not None and upload.mime_type is not None:
        return MEDIA_TYPES[upload.mime_type], upload.sha256
    try:
        media_type = await type_of(part)
    except UnsupportedMediaTypeException:
        await end(store, upload.id)
        raise
    key = await in_thread(part.digest)
    async with store.begin() as session:
        # A removal under way does not know of this row yet: what is put in place after it stays.
        await hold(session, key)
        known = {"sha256": key, "mime_type": media_type.mime}
        await session.execute(update(Upload).where(Upload.id == upload.id).values(known))
    return media_type, key


def _moved(upload: Upload) -> tuple[MediaType, str]:
    if upload.sha256 is None or upload.mime_type is None:
        raise lost(upload)
    return MEDIA_TYPES[upload.mime_type], upload.sha256


def lost(upload: Upload) -> UploadGoneException:
    """What to tell when promised bytes are not there; nothing here does that, so the operator is told too."""
    _log.error("upload_lost", extra={"upload_id": str(upload.id), "received": upload.received})
    return UploadGoneException("The upload's bytes were lost on the server. Start a new one.")


async def stage(store: Store, part: Part, key: str) -> Stored:
    """Do all of putting a durable file in its place that may take long; gives what is to be put."""
    # A stray is known by its age, and its last byte may have come long ago.
    await in_thread(part.touch)
    stored = Stored(key, await in_thread(part.size))
    await store.workspace.stage(part.path, stored)
    return stored


async def _file(
    session: AsyncSession, store: Store, upload: Upload, media_type: MediaType, key: str
) -> uuid.UUID | None:
    """Add the media file and its job, unless another has: the row's lock decides."""
    # The account first, in the order in which its erasure locks, or the two could wait for each other.
    owner = select(User.id).where(User.id == upload.owner_id)
    await session.execute(owner.with_for_update(read=True, key_share=True))
    locked = await session.scalar(select(Upload).where(Upload.id == upload.id).with_for_update())
    if locked is None:
        raise rows.unknown(upload.id)
    if locked.finished_at is None:
        await add(session, store, locked, media_type, key)
    return locked.media_id


async def add(session: AsyncSession, store: Store, upload: Upload, media_type: MediaType, key: str) -> None:
    """Add the media file of an upload, whose row is locked or the session's own, and the job of the file."""
    stored = Stored(key, upload.length)
    await secure(session, store.workspace, key)
    file = await intake.add(session, stored, media_type, owner_id=upload.owner_id, filename=upload.name)
    upload.media_id, upload.finished_at = file.id, func.now()
    # The object is the media file's from now on, and goes with it.
    upload.sha256 = upload.mime_type = None
    # So long its sender can still learn what became of it.
    upload.expires_at = rows.later(store.expiry)
    await session.flush()


async def end(store: Store, upload_id: uuid.UUID) -> None:
    """Forget an upload and remove its bytes. Who writes them notices at the next checkpoint."""
    async with store.begin() as session:
        await session.execute(delete(Upload).where(Upload.id == upload_id))
    # After the commit: bytes without a row are swept, a row without its bytes would be a broken promise.
    await in_thread(remove, part_path(store.workspace, upload_id))
