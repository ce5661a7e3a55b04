"""Taking what belonged to a deleted account, in small steps that may be repeated.

Each step is a transaction of its own that takes rows and what they alone refer to. A death at any moment
leaves fewer rows, and the next attempt goes on; the account's own row is the last, so nothing is forgotten.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import anyio
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import func

from app.models.api_key import ApiKey
from app.models.base import Base
from app.models.data_export import DataExport
from app.models.idempotency_key import IdempotencyKey
from app.models.job import WAITING, Job, JobState
from app.models.media_file import MediaFile
from app.models.session import Session
from app.models.user import User
from app.services.auth import audit
from app.services.auth.audit import Event
from app.services.media.resumable.pruning import take_uploads
from app.services.media.strays import objects_of, remove_unreferenced
from app.services.workspace import Workspace

STEP: Final = 100
"""Rows of one transaction, so few that none lasts long."""

_LOOK_EVERY: Final = 0.2

Begin = Callable[[], AbstractAsyncContextManager[AsyncSession]]


async def erase(begin: Begin, workspace: Workspace, user_id: uuid.UUID, *, patience: float) -> bool:
    """Take an account that was deleted, with all that belongs to it.

    Args:
        begin: opens a transaction that commits at its end.
        workspace: where its files are.
        user_id: the account. One that was not deleted is left alone.
        patience: seconds that its running jobs have to stop; what they would still write has no effect.

    Returns:
        Whether there was anything to take.

    Raises:
        InsufficientStorageException: the workspace is away; what is left is taken another time.
        ServiceUnavailableException: the same for a bucket.
    """
    async with begin() as session:
        if not await _is_deleted(session, user_id):
            return False
    await _stop_jobs(begin, user_id, patience)
    for take in (_take_uploads, _take_media, _take_exports):
        while await take(begin, workspace, user_id):
            pass
    for table, owner in _OWNED:
        while await _take(begin, table, owner == user_id):
            pass
    async with begin() as session:
        # An upload that was on its way may have committed since; once this lock is held, none can.
        await session.execute(select(User.id).where(User.id == user_id).with_for_update())
        for take_some in (_take_some_uploads, _take_some_media):
            while await take_some(session, workspace, user_id):
                pass
        taken = await session.scalar(delete(User).where(User.id == user_id).returning(User.id))
        if taken is not None:
            await audit.record(session, Event.DELETED, user_id=user_id)
    return taken is not None


_OWNED: Final[tuple[tuple[type[Base], InstrumentedAttribute[uuid.UUID]], ...]] = (
    (Job, Job.owner_id),
    (ApiKey, ApiKey.user_id),
    (Session, Session.user_id),
    (IdempotencyKey, IdempotencyKey.user_id),
)


async def _is_deleted(session: AsyncSession, user_id: uuid.UUID) -> bool:
    wanted = select(User.id).where(User.id == user_id, User.deleted_at.is_not(None))
    return await session.scalar(wanted) is not None


async def _stop_jobs(begin: Begin, user_id: uuid.UUID, patience: float) -> None:
    owned, now = update(Job).where(Job.owner_id == user_id), func.clock_timestamp()
    async with begin() as session:
        waiting = owned.where(Job.state.in_(WAITING))
        await session.execute(
            waiting.values(state=JobState.CANCELLED, finished_at=now, cancel_requested_at=now)
        )
        running = owned.where(Job.state == JobState.RUNNING, Job.cancel_requested_at.is_(None))
        await session.execute(running.values(cancel_requested_at=now))
    end = time.monotonic() + patience
    while await _has_running(begin, user_id) and time.monotonic() < end:  # noqa: ASYNC110 - rows tell no event
        await anyio.sleep(_LOOK_EVERY)


async def _has_running(begin: Begin, user_id: uuid.UUID) -> bool:
    async with begin() as session:
        running = select(Job.id).where(Job.owner_id == user_id, Job.state == JobState.RUNNING).limit(1)
        return await session.scalar(running) is not None


async def _take_uploads(begin: Begin, workspace: Workspace, user_id: uuid.UUID) -> int:
    async with begin() as session:
        return await _take_some_uploads(session, workspace, user_id)


async def _take_some_uploads(session: AsyncSession, workspace: Workspace, user_id: uuid.UUID) -> int:
    uploads = await take_uploads(session, workspace, user_id, limit=STEP)
    await remove_unreferenced(session, workspace, objects_of(*uploads))
    return len(uploads)


async def _take_media(begin: Begin, workspace: Workspace, user_id: uuid.UUID) -> int:
    async with begin() as session:
        return await _take_some_media(session, workspace, user_id)


async def _take_some_media(session: AsyncSession, workspace: Workspace, user_id: uuid.UUID) -> int:
    wanted = select(MediaFile).where(MediaFile.owner_id == user_id).order_by(MediaFile.id).limit(STEP)
    files = (await session.scalars(wanted.with_for_update())).all()
    await session.execute(delete(MediaFile).where(MediaFile.id.in_([file.id for file in files])))
    await remove_unreferenced(session, workspace, objects_of(*files))
    return len(files)


async def _take_exports(begin: Begin, workspace: Workspace, user_id: uuid.UUID) -> int:
    async with begin() as session:
        wanted = select(DataExport).where(DataExport.user_id == user_id).order_by(DataExport.id).limit(STEP)
        exports = (await session.scalars(wanted.with_for_update())).all()
        await session.execute(delete(DataExport).where(DataExport.id.in_([export.id for export in exports])))
        await remove_unreferenced(session, workspace, objects_of(*exports))
    return len(exports)


async def _take(begin: Begin, table: type[Base], mine: ColumnElement[bool]) -> int:
    key = table.__table__.c.id
    async with begin() as session:
        some = select(key).where(mine).limit(STEP)
        return len((await session.scalars(delete(table).where(key.in_(some)).returning(key))).all())
