"""How far a resumable upload is, and its end before its time."""

import uuid
from contextlib import suppress
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.upload import Upload
from app.services.media.resumable import finishing, rows
from app.services.media.resumable.errors import UploadLockedException
from app.services.media.resumable.part import held, part_path
from app.services.media.resumable.rows import Store

GLANCE: Final = 2.5
"""Seconds that somebody who only asks waits for a sender whose connection may be dead."""


async def page(
    session: AsyncSession, *, owner_id: uuid.UUID, offset: int, limit: int
) -> tuple[list[Upload], int]:
    """Some of an account's uploads that are on their way, newest first, and how many there are."""
    wanted = (Upload.owner_id == owner_id, Upload.finished_at.is_(None), Upload.expires_at > func.now())
    total = await session.scalar(select(func.count()).select_from(Upload).where(*wanted))
    some = select(Upload).where(*wanted).order_by(Upload.id.desc()).offset(offset).limit(limit)
    return list(await session.scalars(some)), total or 0


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
    if upload.finished_at is not None or not (patience or upload.is_whole):
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
        if upload.is_whole:
            await finishing.finish(store, part, upload)


async def terminate(store: Store, upload_id: uuid.UUID, *, owner_id: uuid.UUID) -> None:
    """End an upload and remove its bytes; a media file that it has become stays.

    Raises:
        NotFoundException, UploadGoneException: there is no such upload (any more).
    """
    async with store.begin() as session:
        await rows.find(session, upload_id, owner_id=owner_id)
    await finishing.end(store, upload_id)
