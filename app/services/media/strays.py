"""Objects and the rows that refer to them: what no row refers to may be removed, and nothing else."""

import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NamedTuple

import anyio
from sqlalchemy import select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute

from app.exceptions.base import ServiceUnavailableException
from app.models.data_export import DataExport
from app.models.media_file import MediaFile
from app.models.upload import Upload
from app.services.workspace import Workspace
from app.services.workspace.locks import hold, seize


class Reference(NamedTuple):
    """A column of a table that refers to objects, and the one beside it that knows their sizes, if any."""

    table: type[MediaFile] | type[DataExport] | type[Upload]
    key: QueryableAttribute[Any]
    size: QueryableAttribute[Any] | None = None
    is_ahead: bool = False
    """Whether it names an object before that is there."""


REFERENCES: Final = (
    Reference(MediaFile, MediaFile.sha256, MediaFile.size),
    Reference(MediaFile, MediaFile.thumbnail_key),
    Reference(MediaFile, MediaFile.poster_key),
    Reference(MediaFile, MediaFile.preview_key),
    Reference(MediaFile, MediaFile.waveform_key),
    Reference(Upload, Upload.sha256, is_ahead=True),
    Reference(DataExport, DataExport.object_key, DataExport.size),
)
"""Every column that refers to objects. An object stays for as long as one of them has its key."""

Begin = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens a transaction that commits at its end."""

_log: Final = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds that one removal may take: who stores the same content waits for it."""


def objects_of(*rows: MediaFile | DataExport | Upload) -> set[str]:
    """The objects that rows refer to."""
    named = (
        (row, reference.key.key)
        for row in rows
        for reference in REFERENCES
        if isinstance(row, reference.table)
    )
    return {key for row, name in named if (key := getattr(row, name)) is not None}


async def remove_unreferenced(session: AsyncSession, workspace: Workspace, keys: Collection[str]) -> int:
    """Remove those of the objects that no row refers to; rows that this transaction deleted are none.

    An object that somebody stores anew at this moment stays: see ``locks``. To be called at the end of a
    transaction, for until then nobody can store the same content. Where it is called before a commit that
    takes rows, what does so must be repeated until it succeeds.

    Args:
        session: the transaction.
        workspace: where the objects are.
        keys: the objects.

    Returns:
        How many no row referred to.

    Raises:
        InsufficientStorageException: the workspace is missing or read-only.
        ServiceUnavailableException: the bucket does not answer.
    """
    ours = await seize(session, keys)
    strays = ours - await referenced(session, ours)
    try:
        with anyio.fail_after(PATIENCE):
            await workspace.remove(strays)
    except TimeoutError as error:
        raise ServiceUnavailableException("The storage takes too long to remove files.") from error
    return len(strays)


@asynccontextmanager
async def removed_on_error(
    session: AsyncSession, workspace: Workspace, begin: Begin | None
) -> AsyncIterator[set[str]]:
    """Objects that are put into this set are removed where an error ends the block and no row refers to them.

    Refused bytes would take room until strays are swept, and could be sent again and again until then.

    Args:
        session: the transaction that would have referred to them; an error rolls it back here.
        workspace: where the objects are.
        begin: opens the transaction of the removal. Without it they are left to the sweep of strays.
    """
    keys: set[str] = set()
    try:
        yield keys
    except BaseException:
        if keys and begin is not None:
            # Also for a request that was cancelled.
            with anyio.CancelScope(shield=True):
                await _take_back(session, workspace, begin, keys)
        raise


async def _take_back(session: AsyncSession, workspace: Workspace, begin: Begin, keys: set[str]) -> None:
    try:
        # Its locks would keep the objects, and its connection may be the pool's last.
        await session.rollback()
        async with begin() as own:
            await remove_unreferenced(own, workspace, keys)
    except Exception as error:  # noqa: BLE001 - the first error is the one to tell; the sweep removes them
        _log.warning("refused_not_removed", extra={"keys": sorted(keys), "error": str(error)})


async def secure(session: AsyncSession, workspace: Workspace, *keys: str | None) -> None:
    """See that stored objects are still there, and that they stay until this transaction commits.

    For who has stored something before it had a transaction; to be called before a row refers to it.

    Raises:
        ServiceUnavailableException: one was removed meanwhile, as nothing referred to it: store it again.
    """
    wanted = [key for key in keys if key is not None]
    await hold(session, *wanted)
    for key in wanted:
        if await workspace.info(key) is None:
            raise ServiceUnavailableException("What was stored has been removed meanwhile. Try again.")


async def referenced(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Those of the keys that a row refers to."""
    if not keys:
        return set()
    having = (select(reference.key).where(reference.key.in_(keys)) for reference in REFERENCES)
    return {key for key in await session.scalars(union(*having)) if key is not None}
