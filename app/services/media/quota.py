"""How much one account may store: its files, and what it has announced and not finished."""

import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import PayloadTooLargeException
from app.models.media_file import MediaFile
from app.models.upload import Upload
from app.models.user import User


class QuotaExceededException(PayloadTooLargeException):
    """The account has no room for it.

    413 and not 507: clients of tus try 5xx again, which cannot help here, and what an account has used up
    is no fault of the server. 507 stays for the workspace, which its operator mends.
    """

    code = "quota_exceeded"


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account has used of its quota, in bytes; a quota of 0 is none."""

    used: int
    quota: int

    def fits(self, size: int) -> bool:
        """Whether this many bytes more are allowed."""
        return not self.quota or self.used + size <= self.quota

    def refusal(self, size: int) -> QuotaExceededException:
        """What to tell the owner of a file of this size."""
        return QuotaExceededException(
            f"The account's quota of {self.quota} bytes has no room for this file, "
            f"{self.used} are used: delete files first.",
            details={"quota": self.quota, "used": self.used, "size": size},
        )


async def standing(session: AsyncSession, owner_id: uuid.UUID, *, quota: int) -> Standing:
    """How the account stands."""
    stored = select(func.coalesce(func.sum(MediaFile.size), 0)).where(MediaFile.owner_id == owner_id)
    announced = select(func.coalesce(func.sum(Upload.length), 0)).where(
        Upload.owner_id == owner_id,
        Upload.finished_at.is_(None),
        # What has expired will never be stored, unless all of it is here.
        or_(Upload.expires_at > func.now(), Upload.received == Upload.length),
    )
    both = select(stored.scalar_subquery() + announced.scalar_subquery())
    used = (await session.execute(both)).scalar_one()
    return Standing(int(used), quota)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Tells early, in short transactions of its own, whether a file may fit: none is held while it comes.

    Args:
        owner_id: the account.
        quota: its bytes; 0 for none.
        read: opens a transaction. Needed where there is a quota.
        is_answered: this was accepted before, and will be answered the same: its bytes count already.
    """

    owner_id: uuid.UUID
    quota: int = 0
    read: Callable[[], AbstractAsyncContextManager[AsyncSession]] | None = None
    is_answered: bool = False

    async def require(self, size: int) -> Standing:
        """See that this many bytes fit now; at least one.

        Raises:
            QuotaExceededException: they do not.
        """
        if self.read is None or not self.quota or self.is_answered:
            return Standing(0, 0)
        async with self.read() as session:
            found = await standing(session, self.owner_id, quota=self.quota)
        return _fitting(found, max(size, 1))


def _fitting(found: Standing, size: int) -> Standing:
    if not found.fits(size):
        raise found.refusal(size)
    return found


async def reserve(session: AsyncSession, owner_id: uuid.UUID, *, quota: int, size: int) -> None:
    """Take the room at the moment of accepting: who comes next sees what this transaction adds.

    The account's row is locked until the commit, so that two who fit each alone do not both get in.

    Raises:
        QuotaExceededException: it does not fit.
    """
    if quota:
        # Not against those who only refer to the account: they would wait for us, and we for them.
        await session.execute(select(User.id).where(User.id == owner_id).with_for_update(key_share=True))
        _fitting(await standing(session, owner_id, quota=quota), size)
