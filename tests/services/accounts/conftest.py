"""A workspace, and a deleted account."""

import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy import func, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.user import User
from app.services.accounts.erasure import Begin
from app.services.workspace import Workspace

MarkDeleted = Callable[[uuid.UUID], Awaitable[None]]


@pytest.fixture
def workspace(settings: AppSettings) -> Workspace:
    return Workspace.from_settings(settings)


@pytest.fixture
def begin(sessions: Sessions) -> Begin:
    return partial(transaction, sessions)


@pytest.fixture
def mark_deleted(sessions: Sessions) -> MarkDeleted:
    async def mark(user_id: uuid.UUID) -> None:
        async with transaction(sessions) as session:
            await session.execute(update(User).where(User.id == user_id).values(deleted_at=func.now()))

    return mark
