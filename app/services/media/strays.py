"""Removing files that no row speaks of: what crashes and deletions leave behind."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from itertools import islice
from typing import Any, Final

import anyio.to_thread
from sqlalchemy import select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.models.data_export import DataExport
from app.models.media_file import MediaFile
from app.models.upload import Upload
from app.services.workspace import Workspace

AGE: Final = 24 * 3600.0
"""Seconds after which a file without a row is a stray; far longer than any request or job lasts."""

FILE_REFERENCES: Final[tuple[InstrumentedAttribute[Any], ...]] = (
    MediaFile.sha256,
    MediaFile.thumbnail_key,
    MediaFile.poster_key,
    MediaFile.preview_key,
    MediaFile.waveform_key,
)
REFERENCES: Final[tuple[InstrumentedAttribute[Any], ...]] = (
    *FILE_REFERENCES,
    Upload.sha256,
    DataExport.object_key,
)
"""Every column that speaks of an object."""

_BATCH: Final = 500

Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]


async def remove_strays(workspace: Workspace, reading: Reading, *, age: float = AGE) -> int:
    """Remove objects without a row and unfinished uploads and work, all older than ``age`` seconds.

    Args:
        workspace: where to look.
        reading: opens a short transaction.
        age: seconds.

    Returns:
        How many were removed.
    """
    removed = await anyio.to_thread.run_sync(workspace.remove_leftovers, age)
    aged = workspace.aged_objects(age)
    while keys := await anyio.to_thread.run_sync(_batch, aged):
        async with reading() as session:
            strays = keys - await _known(session, keys)
        removed += await anyio.to_thread.run_sync(_remove, workspace, strays, age)
    return removed


async def remove_unreferenced(
    session: AsyncSession, workspace: Workspace, objects: Mapping[str, datetime]
) -> int:
    """Remove the objects of rows that this transaction has deleted, unless other rows speak of them.

    To be called before the commit: where the process dies, the rows are still there to be found again.

    Args:
        session: the transaction.
        workspace: where the objects are.
        objects: their keys, each with the moment at which its row was last written. What was put in place
            after that is the same content of somebody whose row may not have committed yet; it stays, and is
            a stray where nobody comes.

    Returns:
        How many were removed.
    """
    unknown = objects.keys() - await _known(session, set(objects))
    now = time.time()
    ages = {key: now - objects[key].timestamp() for key in unknown}
    return await anyio.to_thread.run_sync(_remove_each, workspace, ages)


def _remove_each(workspace: Workspace, ages: dict[str, float]) -> int:
    return sum(workspace.remove_aged(key, age) for key, age in ages.items())


def _batch(keys: Iterator[str]) -> set[str]:
    return set(islice(keys, _BATCH))


def _remove(workspace: Workspace, keys: set[str], age: float) -> int:
    return sum(workspace.remove_aged(key, age) for key in keys)


async def _known(session: AsyncSession, keys: set[str]) -> set[str]:
    """Those of the keys that a row speaks of."""
    found = await session.scalars(union(*(select(column).where(column.in_(keys)) for column in REFERENCES)))
    return {key for key in found if key is not None}
