"""The rows of resumable uploads: what was promised, and to whom."""

import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from sqlalchemy import ColumnElement, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import NotFoundException
from app.models.upload import Upload
from app.services.media.resumable.errors import (
    InterruptedException,
    OffsetMismatchException,
    UploadGoneException,
)
from app.services.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Store:
    """Where resumable uploads live.

    Args:
        begin: opens a transaction that commits at its end; none lasts as long as a body takes to come.
        workspace: where their bytes are.
        expiry: how long they wait for the next byte.
    """

    begin: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    workspace: Workspace
    expiry: timedelta


def later(expiry: timedelta) -> ColumnElement[datetime]:
    """The moment at which an upload that got a byte now expires."""
    return func.now() + literal(expiry)


async def find(session: AsyncSession, upload_id: uuid.UUID, *, owner_id: uuid.UUID) -> Upload:
    """An upload of this owner.

    Raises:
        NotFoundException: there is none, or it is another's.
        UploadGoneException: it has expired. What is whole does not: it is only not filed yet.
    """
    return await _living(session, upload_id, Upload.owner_id == owner_id)


async def _living(session: AsyncSession, upload_id: uuid.UUID, *wanted: ColumnElement[bool]) -> Upload:
    sought = select(Upload, Upload.expires_at <= func.now()).where(Upload.id == upload_id, *wanted)
    found = (await session.execute(sought)).first()
    if found is None:
        raise unknown(upload_id)
    upload, is_over = found
    if is_over and upload.finished_at is None and not upload.is_whole:
        raise UploadGoneException
    return upload


def unknown(upload_id: uuid.UUID) -> NotFoundException:
    """What to tell who asks for an upload that is not there, or not his."""
    return NotFoundException(f"There is no upload {upload_id}.", details={"upload_id": str(upload_id)})


def require_offset(upload: Upload, offset: int) -> None:
    """See that the client goes on where the upload ends.

    Raises:
        OffsetMismatchException: it does not.
    """
    if offset != upload.received:
        raise OffsetMismatchException(
            f"The upload has {upload.received} bytes: go on from there.",
            details={"offset": upload.received},
            headers={"Upload-Offset": str(upload.received)},
        )


async def refuse(session: AsyncSession, upload_id: uuid.UUID) -> NoReturn:
    """Tell who may not write (any more) why: what became of the upload says it.

    Raises:
        NotFoundException, UploadGoneException: there is no such upload any more.
        InterruptedException: another request has gone on with it.
    """
    await _living(session, upload_id)
    raise InterruptedException


async def become_writer(session: AsyncSession, upload: Upload) -> int:
    """Fence off whoever wrote before; gives the number of this writer. Its file is locked.

    Raises:
        as ``refuse``.
    """
    taken = await session.execute(
        update(Upload)
        .where(Upload.id == upload.id, Upload.received == upload.received, Upload.finished_at.is_(None))
        .values(writer=Upload.writer + 1)
        .returning(Upload.writer)
    )
    writer = taken.scalar_one_or_none()
    if writer is None:
        await refuse(session, upload.id)
    return writer


async def require_writer(session: AsyncSession, upload_id: uuid.UUID, writer: int) -> None:
    """See that nobody has written since.

    Raises:
        as ``refuse``.
    """
    if await session.scalar(select(Upload.writer).where(Upload.id == upload_id)) != writer:
        await refuse(session, upload_id)


async def advance(
    session: AsyncSession, upload_id: uuid.UUID, *, writer: int, received: int, expiry: timedelta
) -> None:
    """Write down that this many bytes are durable.

    Raises:
        as ``refuse``.
    """
    moved = await session.execute(
        update(Upload)
        .where(Upload.id == upload_id, Upload.writer == writer, Upload.finished_at.is_(None))
        .values(received=received, expires_at=later(expiry))
        .returning(Upload.id)
    )
    if moved.first() is None:
        await refuse(session, upload_id)
