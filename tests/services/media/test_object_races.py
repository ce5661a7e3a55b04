"""Storing and deleting the same content at once, in a folder and in a bucket."""

import random
import uuid
from functools import partial

import anyio
from sqlalchemy import delete, select

from app.core.database import Sessions, transaction
from app.models.media_file import MediaFile
from app.services.media.strays import objects_of, remove_unreferenced
from app.services.workspace import Workspace
from app.services.workspace.locks import hold
from tests.services.media.files import media

CONTENT = b"one"
ROUNDS = 12


async def store(sessions: Sessions, workspace: Workspace) -> uuid.UUID:
    """As an upload does it; some of them never commit."""
    async with sessions() as session, workspace.receive(limit=100) as incoming:
        await incoming.write(CONTENT)
        stored = await incoming.keep(partial(hold, session))
        # Time for a removal that the lock does not keep away.
        await anyio.sleep(random.random() / 50)
        row = media(stored.key)
        session.add(row)
        await session.flush()
        await (session.rollback() if random.random() < 0.2 else session.commit())
        return row.id


async def discard(sessions: Sessions, workspace: Workspace, media_id: uuid.UUID) -> None:
    """As a deletion and its job do it."""
    async with transaction(sessions) as session:
        taken = delete(MediaFile).where(MediaFile.id == media_id).returning(MediaFile)
        keys = objects_of(*(await session.scalars(taken)).all())
    async with transaction(sessions) as session:
        await remove_unreferenced(session, workspace, keys)


async def test_what_a_row_refers_to_is_there_whoever_deletes_the_same_content(
    sessions: Sessions, workspace: Workspace
) -> None:
    missing: list[str] = []

    async def come_and_go() -> None:
        for _ in range(ROUNDS):
            media_id = await store(sessions, workspace)
            async with sessions() as session:
                key = await session.scalar(select(MediaFile.sha256).where(MediaFile.id == media_id))
            if key is not None and await workspace.info(key) is None:
                missing.append(key)
            await discard(sessions, workspace, media_id)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(come_and_go)
    assert missing == []
