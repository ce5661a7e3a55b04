"""Copies of all that belongs to an account: asked for, listed, handed out, and forgotten after a week."""

import uuid
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, delete, func, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from app.exceptions.base import ConflictException, NotFoundException
from app.models.data_export import DataExport
from app.models.job import ENDED, Job, JobState
from app.models.user import User
from app.schemas.users import Export, ExportState
from app.services.accounts.credentials import locked
from app.services.accounts.profile import AccountGoneException
from app.services.auth import audit
from app.services.auth.audit import Event
from app.services.auth.origin import Origin
from app.services.auth.principal import Principal
from app.services.jobs import JobFailed, enqueue
from app.services.media.files import Download, download, release
from app.services.media.strays import objects_of, remove_unreferenced, secure
from app.services.workspace import Stored, Workspace

EXPORT: Final = "accounts.export"
"""The name of the job that makes one."""

KEPT: Final = timedelta(days=7)

MIME: Final = "application/zip"

_FORGOTTEN: Final = (
    "This export has expired and was forgotten, or its account has ended: ask for another one."
)


async def ask(session: AsyncSession, *, by: Principal, origin: Origin) -> Export:
    """Begin an export; its job belongs to the account, which may watch and cancel it.

    Raises:
        AccountGoneException: the account has ended a moment ago.
        ConflictException: one is being made.
    """
    if await locked(session, by.user_id) is None:
        raise AccountGoneException
    unfinished = _owned(by.user_id).where(Job.state.not_in(ENDED)).limit(1)
    if (found := await session.scalar(unfinished)) is not None:
        raise ConflictException(
            "An export is being made already: wait for it, or cancel its job.",
            details={"export_id": str(found.id)},
        )
    export = DataExport(user_id=by.user_id, expires_at=func.now() + literal(KEPT))
    session.add(export)
    await session.flush()
    export.job = await enqueue(session, EXPORT, {"export_id": export.id}, owner_id=by.user_id)
    await audit.record(session, Event.EXPORT_ASKED, by=by, origin=origin)
    await session.refresh(export, ["created_at", "updated_at", "expires_at"])
    return _shown(export, await _now(session))


async def page(
    session: AsyncSession, *, user_id: uuid.UUID, offset: int, limit: int
) -> tuple[list[Export], int]:
    """Some of an account's exports, newest first, and how many there are."""
    total = await session.scalar(select(func.count()).where(DataExport.user_id == user_id))
    rows = _owned(user_id).order_by(DataExport.id.desc()).offset(offset).limit(limit)
    now = await _now(session)
    return [_shown(export, now) for export in await session.scalars(rows)], total or 0


async def get(session: AsyncSession, export_id: uuid.UUID, *, user_id: uuid.UUID) -> Export:
    """One export.

    Raises:
        NotFoundException: the account has no such export.
    """
    return _shown(await _own(session, export_id, user_id), await _now(session))


async def content(
    session: AsyncSession, workspace: Workspace, export_id: uuid.UUID, *, user_id: uuid.UUID
) -> Download:
    """The ZIP file.

    Raises:
        NotFoundException: the account has no such export, or it has expired.
        ConflictException: it is not made yet, or never will be.
        ServiceUnavailableException: the workspace does not have it now.
    """
    export = await _own(session, export_id, user_id)
    shown = _shown(export, await _now(session))
    details = {"state": shown.state}
    if shown.state is ExportState.EXPIRED:
        raise NotFoundException("The export has expired: ask for another one.", details=details)
    if export.object_key is None:
        why = shown.error or "The export is not finished yet: look at its job."
        raise ConflictException(why, details=details)
    await release(session)
    return await download(workspace, export.object_key, MIME, f"export-{export.created_at:%Y-%m-%d}.zip")


async def require_due(session: AsyncSession, export_id: uuid.UUID, *, user_id: uuid.UUID) -> None:
    """See that an export can and may be made now: its job may have been tried again long after it was asked.

    Raises:
        JobFailed: nobody is there to have it, or another is being made.
    """
    active = User.deleted_at.is_(None) & User.disabled_at.is_(None)
    export = await session.scalar(_owned(user_id).join(User).where(DataExport.id == export_id, active))
    if export is None or export.job is None:
        raise JobFailed(_FORGOTTEN, code="export_gone")
    # Of two that begin at once, the one that began first goes on.
    earlier = tuple_(Job.started_at, Job.id) < tuple_(export.job.started_at, export.job.id)
    others = _owned(user_id).where(Job.state == JobState.RUNNING, DataExport.id != export_id, earlier)
    if await session.scalar(others.limit(1)) is not None:
        raise JobFailed("Another export is being made: wait for it.", code="export_being_made")


async def complete(session: AsyncSession, workspace: Workspace, export_id: uuid.UUID, stored: Stored) -> None:
    """Write down that an export is made; it takes the place of those before, which expire.

    Raises:
        JobFailed: it was forgotten meanwhile; what was made is removed.
        ServiceUnavailableException: the file is gone again.
    """
    await secure(session, workspace, stored.key)
    made = update(DataExport).where(DataExport.id == export_id)
    values = {"object_key": stored.key, "size": stored.size, "expires_at": func.now() + literal(KEPT)}
    user_id = await session.scalar(made.values(values).returning(DataExport.user_id))
    if user_id is None:
        await remove_unreferenced(session, workspace, {stored.key})
        raise JobFailed(_FORGOTTEN, code="export_gone")
    before = update(DataExport).where(DataExport.user_id == user_id, DataExport.id != export_id)
    await session.execute(before.values(expires_at=func.least(DataExport.expires_at, func.now())))


async def prune_exports(session: AsyncSession, *, workspace: Workspace, limit: int, days: int = 0) -> int:
    """Delete up to ``limit`` exports that have expired, with their files; gives how many.

    Each says itself when that is, so ``days`` are not asked.
    """
    old = (
        select(DataExport)
        .where(DataExport.expires_at < func.now())
        .order_by(DataExport.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    exports = (await session.scalars(old)).all()
    await session.execute(delete(DataExport).where(DataExport.id.in_([export.id for export in exports])))
    await remove_unreferenced(session, workspace, objects_of(*exports))
    return len(exports)


def _owned(user_id: uuid.UUID) -> Select[DataExport]:
    joined = select(DataExport).outerjoin(DataExport.job).options(contains_eager(DataExport.job))
    return joined.where(DataExport.user_id == user_id)


async def _own(session: AsyncSession, export_id: uuid.UUID, user_id: uuid.UUID) -> DataExport:
    export = await session.scalar(_owned(user_id).where(DataExport.id == export_id))
    if export is None:
        raise NotFoundException("Export not found")
    return export


async def _now(session: AsyncSession) -> datetime:
    return (await session.execute(select(func.now()))).scalar_one()


def _shown(export: DataExport, now: datetime) -> Export:
    state = _state(export, now)
    return Export(
        id=export.id,
        created_at=export.created_at,
        updated_at=export.updated_at,
        state=state,
        size=export.size,
        expires_at=export.expires_at,
        job_id=export.job_id,
        error=_error(export) if state is ExportState.FAILED else None,
    )


def _state(export: DataExport, now: datetime) -> ExportState:
    if export.expires_at <= now:
        return ExportState.EXPIRED
    if export.object_key is not None:
        return ExportState.READY
    if export.job is None or export.job.state in ENDED:
        return ExportState.FAILED
    return ExportState.RUNNING if export.job.state == JobState.RUNNING else ExportState.PENDING


def _error(export: DataExport) -> str:
    if export.job is not None and export.job.state == JobState.CANCELLED:
        return "The export was cancelled."
    told = export.job.error if export.job else None
    return str(told["message"]) if told else "The export could not be made."
