"""Deleting a file: its row at once, and what nothing refers to any more after the commit."""

import uuid
from contextlib import suppress
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import ConflictException, NotFoundException
from app.models.media_file import MediaFile
from app.services.jobs import cancel_job, enqueue
from app.services.media.strays import objects_of
from app.services.users import SYSTEM_OWNER

DISCARD: Final = "media.discard"
"""The name of the job that removes objects to which no row refers any more."""


async def delete(session: AsyncSession, media_id: uuid.UUID, *, owner_id: uuid.UUID) -> None:
    """Delete a file with all that was made of it; its job is cancelled.

    Its objects are removed by a job that commits with this, so that the row never outlives them, and that is
    tried again while the storage is away.

    Raises:
        NotFoundException: there is none, or it is another's.
    """
    wanted = select(MediaFile).where(MediaFile.id == media_id, MediaFile.owner_id == owner_id)
    file = await session.scalar(wanted.with_for_update())
    if file is None:
        raise NotFoundException(f"There is no media file {media_id}.", details={"media_id": str(media_id)})
    await session.delete(file)
    await session.flush()
    if file.job_id is not None:
        # One that has ended has nothing to be cancelled.
        with suppress(ConflictException, NotFoundException):
            await cancel_job(session, file.job_id, owner_id=owner_id)
    await enqueue(session, DISCARD, {"keys": sorted(objects_of(file))}, owner_id=SYSTEM_OWNER)
