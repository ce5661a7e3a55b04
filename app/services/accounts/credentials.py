"""An account that is about to change, taken under its lock."""

import uuid

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.user import AccountStatus, User


async def locked(session: AsyncSession, user_id: uuid.UUID) -> User | None:
    """The account as it is now, locked until this transaction ends; none that has ended."""
    # Read anew under the lock: what this session read before may be old.
    query = select(User).where(User.id == user_id).with_for_update(key_share=True)
    user = (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    return user if user is not None and user.status is AccountStatus.ACTIVE else None
