"""Accounts. Until people can register there is one built-in owner, answered on loopback only."""

import uuid
from typing import Final

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.user import User

BUILT_IN_OWNER: Final = uuid.UUID("00000000-0000-7000-8000-000000000001")

SYSTEM_OWNER: Final = uuid.UUID("00000000-0000-7000-8000-000000000002")
"""Owns the jobs of schedules, which nobody may see or cancel as their own."""


async def ensure_built_in_owner(session: AsyncSession) -> None:
    """Make the built-in owner's row where it is missing; safe to run from many processes at once."""
    await session.execute(
        insert(User).values(id=BUILT_IN_OWNER, email="owner@localhost").on_conflict_do_nothing()
    )
