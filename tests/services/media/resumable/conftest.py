"""A place for resumable uploads, and one upload in it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.media_file import MediaFile
from app.models.upload import Upload
from app.services.media.quota import Allowance
from app.services.media.resumable import Announced, Store, appending, create, writer
from app.services.workspace import Workspace
from tests.accounts import OWNER
from tests.servers import DEADLINE

DATA = b"\xff\xd8\xff" + bytes(range(1, 256)) * 400
"""More than what a type is told by, so that it is told in the middle."""

Begin = Callable[..., Awaitable[uuid.UUID]]


NEVER = 3600.0


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sender pauses and nobody loses patience because the machine stands still; tests of that say so."""
    monkeypatch.setattr(writer, "PAUSE", NEVER)
    monkeypatch.setattr(writer, "CHECKPOINT_SECONDS", NEVER)
    monkeypatch.setattr(writer, "PATIENCE", DEADLINE)
    monkeypatch.setattr(appending, "PATIENCE", DEADLINE)


@pytest.fixture
def workspace(settings: AppSettings) -> Workspace:
    return Workspace.from_settings(settings)


@pytest.fixture
def store(sessions: Sessions, workspace: Workspace) -> Store:
    return Store(partial(transaction, sessions), workspace, timedelta(hours=1))


async def chunks(*given: bytes) -> AsyncIterator[bytes]:
    for chunk in given:
        yield chunk


@pytest.fixture
def begin(store: Store) -> Begin:
    """Begins an upload of the data above, with its first bytes."""

    async def begin(received: int = 0, length: int = len(DATA)) -> uuid.UUID:
        body = chunks(DATA[:received])
        announced = Announced(length, "a.jpg", None)
        async with store.begin() as session:
            upload = await create(session, store, announced, body, allowance=Allowance(OWNER), limit=2**60)
        return upload.id

    return begin


async def row(store: Store, upload_id: uuid.UUID) -> Upload:
    async with store.begin() as session:
        return await session.get_one(Upload, upload_id)


async def media(store: Store) -> list[MediaFile]:
    async with store.begin() as session:
        return list(await session.scalars(select(MediaFile)))
