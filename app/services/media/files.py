"""Uploaded files: listed, and handed out to their owner."""

import os
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from app.exceptions.base import NotFoundException
from app.models.media_file import MediaFile, MediaState
from app.schemas.media import MediaFileDetail, MediaFileSummary
from app.services.media import renditions, states
from app.services.media.renditions import NONE_DUE, Rendition
from app.services.media.types import Kind
from app.services.workspace import ObjectInfo, Workspace
from app.services.workspace.status import unreadable


@dataclass(frozen=True, slots=True)
class Download:
    """A durable object to send: where it is, its facts as those of a file, and how it is called."""

    workspace: Workspace
    facts: os.stat_result
    key: str
    mime_type: str
    name: str


async def page(
    session: AsyncSession,
    *,
    owner_id: uuid.UUID,
    offset: int,
    limit: int,
    kind: Kind | None = None,
    state: MediaState | None = None,
) -> tuple[list[MediaFileSummary], int]:
    """Some of an owner's files, newest first, and how many there are in all."""
    wanted: list[ColumnElement[bool]] = [MediaFile.owner_id == owner_id]
    if kind is not None:
        wanted.append(MediaFile.kind == kind)
    if state is not None:
        wanted.append(states.is_in(state))
    # PostgreSQL leaves the join out where no condition needs it.
    counted = select(func.count()).select_from(MediaFile).outerjoin(MediaFile.job).where(*wanted)
    total = (await session.execute(counted)).scalar_one()
    rows = _with_job().where(*wanted).order_by(MediaFile.id.desc()).offset(offset).limit(limit)
    return [_summary(file) for file in await session.scalars(rows)], total


async def get(session: AsyncSession, media_id: uuid.UUID, *, owner_id: uuid.UUID) -> MediaFileDetail:
    """One file with all that is known of it.

    Raises:
        NotFoundException: there is none, or it is another's.
    """
    return detail(await _own(session, media_id, owner_id))


async def content(
    session: AsyncSession, workspace: Workspace, media_id: uuid.UUID, *, owner_id: uuid.UUID
) -> Download:
    """The file itself.

    Raises:
        NotFoundException: there is none, or it is another's.
        ServiceUnavailableException: the workspace does not have it now.
    """
    file = await _own(session, media_id, owner_id)
    await release(session)
    return await download(workspace, file.sha256, file.mime_type, file.name)


async def rendition(
    session: AsyncSession,
    workspace: Workspace,
    media_id: uuid.UUID,
    which: Rendition,
    *,
    owner_id: uuid.UUID,
) -> Download:
    """What was made of the file.

    Raises:
        NotFoundException: there is no such file, or no such rendition (yet); the message says why.
        ServiceUnavailableException: the workspace does not have it now.
    """
    file = await _own(session, media_id, owner_id)
    key = getattr(file, f"{which}_key")
    if key is None:
        raise NotFoundException(
            states.why_missing(file, which, otherwise=NONE_DUE[which]),
            details={"state": states.of(file), "job_state": file.job.state if file.job else None},
        )
    mime = renditions.mime_of(which, file.preview_type)
    await release(session)
    return await download(workspace, key, mime, f"{Path(file.name).stem}{renditions.EXTENSIONS[mime]}")


async def release(session: AsyncSession) -> None:
    """Give the connection of a session that only reads back: a bucket may take seconds to answer."""
    await session.close()


async def download(workspace: Workspace, key: str, mime_type: str, name: str) -> Download:
    """An object of the workspace, to be sent under a name.

    Raises:
        ServiceUnavailableException: the workspace does not have it now.
    """
    found = await workspace.info(key)
    if found is None:
        raise unreadable()
    return Download(workspace, _as_of_a_file(found), key, mime_type, name)


def _as_of_a_file(found: ObjectInfo) -> os.stat_result:
    modified = int(found.modified)
    return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, found.size, modified, modified, modified))


def _with_job() -> Select[MediaFile]:
    return select(MediaFile).outerjoin(MediaFile.job).options(contains_eager(MediaFile.job))


async def _own(session: AsyncSession, media_id: uuid.UUID, owner_id: uuid.UUID) -> MediaFile:
    query = _with_job().where(MediaFile.id == media_id, MediaFile.owner_id == owner_id)
    file = await session.scalar(query)
    if file is None:
        raise NotFoundException(f"There is no media file {media_id}.", details={"media_id": str(media_id)})
    return file


def _facts(file: MediaFile) -> dict[str, object]:
    made = {f"has_{which}": getattr(file, f"{which}_key") is not None for which in Rendition}
    derived = {"state", "error", *made}
    copied = {name: getattr(file, name) for name in MediaFileSummary.model_fields if name not in derived}
    return copied | {
        "state": states.of(file),
        "error": states.error_of(file),
        **made,
    }


def _summary(file: MediaFile) -> MediaFileSummary:
    return MediaFileSummary.model_validate(_facts(file))


def detail(file: MediaFile) -> MediaFileDetail:
    """All that is known of a file whose job is loaded."""
    return MediaFileDetail.model_validate(_facts(file) | {"probe": file.probe})
