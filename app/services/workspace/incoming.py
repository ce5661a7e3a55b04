"""One file on its way to the disk."""

import hashlib
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread

from app.exceptions.base import PayloadTooLargeException
from app.services.workspace.objects import Stored
from app.services.workspace.status import explained

CHUNK: Final = 1024 * 1024
"""Bytes that are hashed and written in one visit to a thread."""

HEAD: Final = 16 * 1024
"""Bytes of the beginning that are kept in memory, to tell the type by."""


Hold = Callable[[str], Awaitable[None]]
"""Keeps the object of a key from being removed until the caller's transaction ends (``locks.hold``).

What may refuse the file is asked here too: nothing is in its place yet.
"""


class Place(Protocol):
    """Where a complete file goes."""

    def require_room(self, expected: int = 0) -> None:
        """Raise where there is no room for this many bytes more."""

    async def stage(self, source: Path, stored: Stored) -> None:
        """Do what takes long."""

    async def put(self, source: Path, stored: Stored) -> None:
        """Put a staged file in the place of its key."""


class Incoming:
    """One file on its way to the disk: hashed and written a chunk at a time, in threads."""

    def __init__(self, place: Place, descriptor: int, path: Path, limit: int) -> None:
        self.size = 0
        self.head = b""
        self._place = place
        self._path = path
        self._limit = limit
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            InsufficientStorageException: the workspace filled up or went away.
            PayloadTooLargeException: this is more than the limit.
        """
        self.size += len(chunk)
        if self.size > self._limit:
            raise PayloadTooLargeException(
                f"The file is larger than the limit of {self._limit} bytes.", details={"limit": self._limit}
            )
        if len(self.head) < HEAD:
            self.head += bytes(chunk[: HEAD - len(self.head)])
        self._buffer += chunk
        if len(self._buffer) >= CHUNK:
            await self._flush()

    async def read(self, start: int, size: int) -> bytes:
        """Bytes of what has arrived, from ``start`` on; fewer where there are no more.

        Raises:
            InsufficientStorageException: the workspace filled up or went away.
        """
        await self._flush()
        return await anyio.to_thread.run_sync(self._read, start, size)

    async def keep(self, hold: Hold | None = None) -> Stored:
        """Make the file durable and put it in its place. Nothing can be written after it.

        Args:
            hold: called with the key when all is known of the file, at the last moment at which the object
                may still be removed by others. Where it raises, nothing is put; what is staged stays.

        Raises:
            InsufficientStorageException: the workspace filled up or went away.
            ServiceUnavailableException: the bucket does not answer.
        """
        await self._flush()
        stored = await anyio.to_thread.run_sync(self._seal)
        await self._place.stage(self._path, stored)
        if hold is not None:
            await hold(stored.key)
        await self._place.put(self._path, stored)
        return stored

    def discard(self) -> None:
        """Close and remove what was not kept."""
        self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    async def _flush(self) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        # A thread is waited for even when the task is cancelled, so nothing writes to a closed file.
        await anyio.to_thread.run_sync(self._write, memoryview(buffer))

    def _write(self, data: memoryview) -> None:
        self._hash.update(data)
        with explained():
            while data:
                data = data[self._file.write(data) :]
        self._place.require_room()

    def _read(self, start: int, size: int) -> bytes:
        with explained(), self._path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def _seal(self) -> Stored:
        with explained():
            os.fsync(self._file.fileno())
        return Stored(self._hash.hexdigest(), self.size)
