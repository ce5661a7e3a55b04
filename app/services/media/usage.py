"""How much is stored: by one account, and by all."""

import uuid
from typing import Final

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.core.config.groups import StorageSettings
from app.models.job import Job, JobState
from app.models.media_file import MediaFile
from app.models.user import User
from app.schemas.storage import AccountUsage, MediaUsage, StorageReport, StorageResponse
from app.services.users import SYSTEM_OWNER

SWEEP: Final = "media.sweep"
"""The name of the job that holds objects against rows; its result is the report."""

LARGEST: Final = 20

_FILES: Final = func.count(MediaFile.id)
_BYTES: Final = func.coalesce(func.sum(MediaFile.size), 0)


async def of_account(session: AsyncSession, owner_id: uuid.UUID) -> MediaUsage:
    """What an account stores."""
    files, size = (await session.execute(select(_FILES, _BYTES).where(MediaFile.owner_id == owner_id))).one()
    return MediaUsage(files=files, bytes=int(size))


async def of_all(session: AsyncSession) -> MediaUsage:
    """What all accounts store."""
    files, size = (await session.execute(select(_FILES, _BYTES))).one()
    return MediaUsage(files=files, bytes=int(size))


async def largest(session: AsyncSession) -> list[AccountUsage]:
    """The accounts that store the most, the largest first."""
    query = (
        select(User.id, User.email, _FILES, _BYTES)
        .join(MediaFile, MediaFile.owner_id == User.id)
        .group_by(User.id)
        .order_by(_BYTES.desc(), User.id)
        .limit(LARGEST)
    )
    return [
        AccountUsage(user_id=user_id, email=email, files=files, bytes=int(size))
        for user_id, email, files, size in await session.execute(query)
    ]


async def overview(session: AsyncSession, storage: StorageSettings) -> StorageResponse:
    """What an administrator asks. It looks at no object."""
    total = await of_all(session)
    return StorageResponse(
        kind="bucket" if storage.s3_bucket else "folder",
        files=total.files,
        bytes=total.bytes,
        largest=await largest(session),
        report=await last_report(session),
    )


async def last_report(session: AsyncSession | AsyncConnection) -> StorageReport | None:
    """What the last sweep found; None before the first."""
    query = (
        select(Job.result)
        .where(Job.owner_id == SYSTEM_OWNER, Job.kind == SWEEP, Job.state == JobState.SUCCEEDED)
        .order_by(Job.id.desc())
        .limit(1)
    )
    try:
        return StorageReport.model_validate((await session.execute(query)).scalar_one_or_none())
    except ValidationError:
        return None
