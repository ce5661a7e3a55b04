"""A ZIP file of all that belongs to an account, written as it is read: never whole in memory."""

import io
import json
import sys
import uuid
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final, Self

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.media_file import MediaFile
from app.services.accounts import belongings
from app.services.workspace import Incoming, Stored, Workspace

CHUNK: Final = 1024 * 1024
PAGE: Final = 500
"""Rows that are read at once."""

Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]
Progress = Callable[[float, str | None], Awaitable[None]]


async def make(workspace: Workspace, reading: Reading, user_id: uuid.UUID, progress: Progress) -> Stored:
    """Write the archive and store it durably.

    Args:
        workspace: where the account's files are and the archive goes.
        reading: opens a short transaction.
        user_id: the account.
        progress: told the share that is done, by bytes of files.

    Raises:
        InsufficientStorageException: there is no room for it.
        ServiceUnavailableException: a file of the account cannot be read now.
    """
    async with reading() as session:
        owned = MediaFile.owner_id == user_id
        total = int(
            await session.scalar(select(func.coalesce(func.sum(MediaFile.size), 0)).where(owned)) or 0
        )
    receiving = workspace.receive(limit=sys.maxsize, expected=total)
    async with receiving as incoming, _Archive(incoming) as archive:
        for name, rows in belongings.tables(user_id).items():
            await archive.add(name, _listed(_rows(reading, rows)))
        done = 0
        async for file in _rows(reading, belongings.files(user_id)):
            chunks = _chunks(workspace, file["sha256"])
            await archive.add(f"media/{file['id']}/{file['name']}", chunks, when=file["created_at"])
            done += file["size"]
            await progress(done / max(total, 1), "media")
        await archive.finish()
        return await incoming.keep()


class _Sink(io.RawIOBase):
    """Where zipfile writes; what has come is taken away at once. It cannot seek: nothing is rewritten."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def take(self) -> bytes:
        held, self._held = self._held, bytearray()
        return bytes(held)


class _Archive:
    """A ZIP file that grows into an incoming one. Stored, not deflated: media is compressed already."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)

    async def add(self, name: str, chunks: AsyncIterator[bytes], *, when: datetime | None = None) -> None:
        entry = zipfile.ZipInfo(name, (when or datetime.now().astimezone()).timetuple()[:6])
        entry.external_attr = 0o600 << 16
        # Its size is not known before it was written: room for any (APPNOTE, section 4.3.9.2).
        with self._zip.open(entry, "w", force_zip64=True) as file:
            async for chunk in chunks:
                file.write(chunk)
                await self._incoming.write(self._sink.take())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        # Left to the collector, an archive that was given up would write its end into what is closed already.
        self._zip.close()

    async def finish(self) -> None:
        self._zip.close()
        await self._incoming.write(self._sink.take())


async def _rows(reading: Reading, wanted: belongings.Rows) -> AsyncIterator[dict[str, Any]]:
    """A page at a time, each in a short transaction."""
    last: uuid.UUID | None = None
    while True:
        query = wanted.query.order_by(wanted.key).limit(PAGE)
        async with reading() as session:
            found = await session.execute(query if last is None else query.where(wanted.key > last))
            rows: Sequence[Any] = found.mappings().all()
        for row in rows:
            yield dict(row)
        if len(rows) < PAGE:
            return
        last = rows[-1]["id"]


async def _listed(rows: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """A JSON array, one object a line."""
    before = "[\n"
    async for row in rows:
        yield (before + json.dumps(row, ensure_ascii=False, default=_text)).encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def _chunks(workspace: Workspace, key: str) -> AsyncIterator[bytes]:
    async with workspace.open(key) as file:
        while chunk := await file.read(CHUNK):
            yield chunk
