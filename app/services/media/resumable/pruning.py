"""What becomes of uploads that nobody goes on with."""

import logging
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import AppException
from app.models.upload import Upload
from app.services.media.reconciliation import Reading
from app.services.media.resumable.errors import UploadGoneException
from app.services.media.resumable.finishing import end
from app.services.media.resumable.looking import settle
from app.services.media.resumable.part import PREFIX, in_thread, part_path, remove
from app.services.media.resumable.rows import Store
from app.services.workspace import Workspace
from app.services.workspace.durable import is_older

ABANDONED: Final = timedelta(minutes=5)
"""After which a whole upload is finished for whoever was about to."""
MOST: Final = 100
"""Uploads that are finished in one go; the next goes on."""

_log: Final = logging.getLogger(__name__)


async def finish_abandoned(store: Store, *, after: timedelta = ABANDONED) -> int:
    """Finish whole uploads whose last request died before it could; gives how many."""
    async with store.begin() as session:
        whole = Upload.finished_at.is_(None) & (Upload.received == Upload.length)
        old = Upload.updated_at < func.now() - literal(after)
        # The newest first, so that none that cannot be finished holds another up.
        wanted = select(Upload).where(whole, old).order_by(Upload.id.desc()).limit(MOST)
        uploads = (await session.scalars(wanted)).all()
    return sum([await _settle(store, upload) for upload in uploads])


async def _settle(store: Store, upload: Upload) -> bool:
    try:
        await settle(store, upload, patience=0)
    except UploadGoneException:
        # Told already. Until it expires its bytes may come back, with a volume that was not mounted.
        if upload.expires_at < datetime.now(UTC):
            await end(store, upload.id)
        return False
    except AppException as error:
        _log.warning("upload_not_finished", extra={"upload_id": str(upload.id), "error": str(error)})
        return False
    return True


async def prune_uploads(session: AsyncSession, *, workspace: Workspace, limit: int, days: int = 0) -> int:
    """Delete up to ``limit`` uploads that have expired, with their bytes; gives how many.

    Each says itself when that is, so ``days`` are not asked. What is whole and not yet finished stays.
    """
    old = (
        select(Upload)
        .where(Upload.expires_at < func.now())
        .where(Upload.finished_at.is_not(None) | (Upload.received < Upload.length))
        .order_by(Upload.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return await _take(session, workspace, list(await session.scalars(old)))


async def take_uploads(
    session: AsyncSession, workspace: Workspace, owner_id: uuid.UUID, *, limit: int
) -> list[Upload]:
    """Delete up to ``limit`` uploads of an account, with their bytes; gives them."""
    mine = select(Upload).where(Upload.owner_id == owner_id).order_by(Upload.id).limit(limit)
    uploads = list(await session.scalars(mine.with_for_update()))
    await _take(session, workspace, uploads)
    return uploads


async def _take(session: AsyncSession, workspace: Workspace, uploads: list[Upload]) -> int:
    ids = [upload.id for upload in uploads]
    await session.execute(delete(Upload).where(Upload.id.in_(ids)))
    # Before the commit: where the process dies, the rows are still there to be found again.
    await in_thread(_remove_all, workspace, ids)
    return len(ids)


def _remove_all(workspace: Workspace, ids: list[uuid.UUID]) -> None:
    for upload_id in ids:
        remove(part_path(workspace, upload_id))


async def remove_orphans(workspace: Workspace, reading: Reading, *, age: float) -> int:
    """Remove bytes without a row that were last written longer ago than this; gives of how many uploads."""
    found = await in_thread(_aged, workspace, age)
    async with reading() as session:
        known = set(await session.scalars(select(Upload.id).where(Upload.id.in_(found))))
    orphans = [upload_id for upload_id in found if upload_id not in known]
    await in_thread(_remove_all, workspace, orphans)
    return len(orphans)


def _aged(workspace: Workspace, age: float) -> list[uuid.UUID]:
    paths = [path for path in workspace.uploads.glob(f"{PREFIX}*") if is_older(path, age)]
    found = []
    for path in paths:
        # What anybody else has put there has another name, and is no business of ours.
        with suppress(ValueError):
            found.append(uuid.UUID(path.name.removeprefix(PREFIX)))
    return found
