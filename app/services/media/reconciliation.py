"""Holding objects against rows: strays are removed, and what is lost or damaged is found and told.

Both are read side by side in the order of their keys, a page at a time, so that it costs the same memory
however many there are. Meanwhile files come and go: what seems wrong is looked at again before it is told.
"""

import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final

import anyio.to_thread
from sqlalchemy import BigInteger, Select, cast, func, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions.base import ServiceUnavailableException
from app.schemas.storage import Findings, StorageReport
from app.services.media.strays import REFERENCES, Reference, referenced, remove_unreferenced
from app.services.workspace import ObjectInfo, State, Workspace, storage_error

AGE: Final = 24 * 3600.0
"""Seconds after which an object without a row is a stray; far longer than any request or job lasts."""

ROWS: Final = 1000
"""Keys that are read at once of the rows."""

NAMED: Final = 20
"""Keys of each kind of finding that the report names."""

CONFIRMED: Final = 1000
"""Findings of each kind that are looked at again; where more is wrong, it is no accident of the moment."""

FEW: Final = 100
"""Strays that are removed at once also where the database refers to nothing at all."""

SAMPLE: Final = 1024**3
"""Bytes of objects that are hashed in one sweep, unless all are."""

_LEGIBLE: Final = {State.WRITABLE, State.READ_ONLY, State.FULL}

_CHUNK: Final = 1024 * 1024

Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]
Progress = Callable[[float, str], Awaitable[None]]

_log = logging.getLogger(__name__)


def slice_of(moment: float) -> str:
    """The part of all keys whose content is to be hashed on a day: each has its turn within 256 days."""
    return f"{int(moment // 86400) % 256:02x}"


async def reconcile(
    workspace: Workspace,
    reading: Reading,
    *,
    progress: Progress | None = None,
    age: float = AGE,
    remove: bool = True,
    verify: str | None = None,
    limit: int | None = SAMPLE,
) -> StorageReport:
    """Hold all objects against all rows.

    Args:
        workspace: where objects are.
        reading: opens a short transaction.
        progress: told the share that is done.
        age: seconds after which an object without a row is a stray.
        remove: whether to remove strays and leftovers.
        verify: the beginning of the keys whose content is hashed; empty for all, None for none.
        limit: bytes that are hashed at most.

    Raises:
        InsufficientStorageException: the workspace is missing, or the bucket refuses us.
        ServiceUnavailableException: the storage cannot be read now.
    """
    status = await anyio.to_thread.run_sync(workspace.check)
    if status.state not in _LEGIBLE:
        # Where nothing can be seen, all would seem to be missing.
        raise storage_error(status.state)
    removing = remove and status.state is not State.READ_ONLY
    return await _Sweep(workspace, reading, age if removing else None, verify, limit).run(progress)


class _Sweep:
    """One pass over all keys, and what it has found so far."""

    def __init__(
        self, workspace: Workspace, reading: Reading, age: float | None, verify: str | None, limit: int | None
    ) -> None:
        self._workspace = workspace
        self._reading = reading
        self._age = age
        self._verify = verify
        self._budget = limit
        self._started = time.time()
        self._objects = self._bytes = self._referenced = self._verified = 0
        self._unreferenced = self._removed = 0
        self._missing, self._wrong_size, self._damaged = Findings(), Findings(), Findings()
        self._kept = False

    async def run(self, progress: Progress | None) -> StorageReport:
        leftovers = 0
        if self._age is not None:
            leftovers = await anyio.to_thread.run_sync(self._workspace.remove_leftovers, self._age)
        is_empty = await self._refers_to_nothing()
        after = ""
        async for page in self._workspace.store.pages():
            strays = await self._compare({found.key: found for found in page}, after, page[-1].key)
            await self._clear(strays, is_empty=is_empty)
            after = page[-1].key
            if progress is not None:
                await progress(int(after[:4], 16) / 0x10000, "objects")
        await self._compare({}, after, None)
        return self._report(leftovers)

    async def _compare(
        self, objects: dict[str, ObjectInfo], after: str, upto: str | None
    ) -> Iterable[ObjectInfo]:
        """Hold a page of objects against the rows of the same keys; gives those without a row."""
        self._objects += len(objects)
        self._bytes += sum(found.size for found in objects.values())
        async for key, size in self._rows(after, upto):
            self._referenced += 1
            found = objects.pop(key, None)
            if found is None:
                await self._note(self._missing, key, size)
            elif size is not None and found.size != size:
                await self._note(self._wrong_size, key, size)
            elif self._is_due(found) and not await self._is_intact(found):
                _note(self._damaged, key)
        return objects.values()

    async def _rows(self, after: str, upto: str | None) -> AsyncIterator[tuple[str, int | None]]:
        while True:
            async with self._reading() as session:
                rows = (await session.execute(_keys(after, upto))).all()
            for key, size in rows:
                yield key, size
            if len(rows) < ROWS:
                return
            after = rows[-1][0]

    async def _note(self, findings: Findings, key: str, size: int | None) -> None:
        if findings.count >= CONFIRMED or not await self._is_right_now(key, size):
            _note(findings, key)

    async def _is_right_now(self, key: str, size: int | None) -> bool:
        found = await self._workspace.info(key)
        if found is not None and size in {None, found.size}:
            return True
        async with self._reading() as session:
            return not await referenced(session, {key})

    def _is_due(self, found: ObjectInfo) -> bool:
        if self._verify is None or not found.key.startswith(self._verify):
            return False
        if self._budget is None:
            return True
        self._budget -= found.size
        return self._budget >= 0

    async def _is_intact(self, found: ObjectInfo) -> bool:
        digest = hashlib.sha256()
        try:
            async with self._workspace.open(found.key) as file:
                while chunk := await file.read(_CHUNK):
                    digest.update(chunk)
        except ServiceUnavailableException:
            # Deleted a moment ago; or away, which the next page tells.
            return True
        self._verified += 1
        return digest.hexdigest() == found.key

    async def _clear(self, strays: Iterable[ObjectInfo], *, is_empty: bool) -> None:
        end = self._started - self._age if self._age is not None else float("-inf")
        old = {found.key for found in strays if found.modified < end}
        self._unreferenced += sum(found.modified >= end for found in strays)
        if is_empty and len(old) > FEW:
            self._kept = True
            self._unreferenced += len(old)
            return
        async with self._reading() as session:
            removed = await remove_unreferenced(session, self._workspace, old)
        self._removed += removed

    async def _refers_to_nothing(self) -> bool:
        async with self._reading() as session:
            return (await session.execute(_keys("", None).limit(1))).first() is None

    def _report(self, leftovers: int) -> StorageReport:
        report = StorageReport(
            finished_at=datetime.now(UTC),
            seconds=round(time.time() - self._started, 3),
            objects=self._objects,
            bytes=self._bytes,
            referenced=self._referenced,
            missing=self._missing,
            wrong_size=self._wrong_size,
            damaged=self._damaged,
            unreferenced=self._unreferenced,
            removed=self._removed,
            kept=self._kept,
            leftovers=leftovers,
            verified=self._verified,
        )
        if report.disagrees:
            _log.error("storage_disagrees", extra=_told(report))
        return report


def _note(findings: Findings, key: str) -> None:
    findings.count += 1
    if len(findings.keys) < NAMED:
        findings.keys.append(key)


def _told(report: StorageReport) -> dict[str, object]:
    """What a log line has room for."""
    told: dict[str, object] = {"kept": report.kept}
    for name in ("missing", "wrong_size", "damaged"):
        findings: Findings = getattr(report, name)
        told |= {name: findings.count, f"{name}_keys": findings.keys[:3]}
    return told


def _keys(after: str, upto: str | None) -> Select[str, int | None]:
    """The next keys that rows refer to, each once, with its size where one is known."""
    together = union_all(*(_of(each, after, upto) for each in REFERENCES if not each.is_ahead)).subquery()
    key, size = together.c.key, func.max(together.c.size)
    return select(key, size).group_by(key).order_by(key).limit(ROWS)


def _of(reference: Reference, after: str, upto: str | None) -> Select[str, int | None]:
    # Cut here too: of each column the first keys of its index are read, and no more.
    size = cast(null(), BigInteger) if reference.size is None else func.max(reference.size)
    some = select(reference.key.label("key"), size.label("size")).where(reference.key > after)
    if upto is not None:
        some = some.where(reference.key <= upto)
    first = some.group_by(reference.key).order_by(reference.key).limit(ROWS).subquery()
    return select(first.c.key, first.c.size)
