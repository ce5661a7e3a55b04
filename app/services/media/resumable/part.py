"""The file of one unfinished upload: one writer at a time over all processes, durable when it says so."""

import asyncio
import fcntl
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import anyio.to_thread

from app.services.media.resumable.errors import UploadLockedException
from app.services.workspace import Workspace
from app.services.workspace.durable import sync_folder
from app.services.workspace.status import explained

PREFIX: Final = "resumable-"
BLOCK: Final = 1024 * 1024
"""Bytes that are read back in one step."""
PATIENCE: Final = 5.0
"""Seconds that a request waits for another one's lock: longer than a pause takes to be noticed."""
LOOK_EVERY: Final = 0.05
"""Seconds between two tries to lock a file: nobody tells that it was unlocked."""

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *args: object) -> T:
    """Work in a thread, whose end is waited for even by a cancelled task.

    A descriptor that is closed under a write could be another file's when the write comes to it.
    """
    running = asyncio.ensure_future(anyio.to_thread.run_sync(work, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def part_path(workspace: Workspace, upload_id: uuid.UUID) -> Path:
    """Where the bytes of an upload are until all of them are there."""
    return workspace.uploads / f"{PREFIX}{upload_id}"


def remove(path: Path) -> None:
    """Remove a file; it is none of the caller's errors where that does not work: what is left is swept."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


class Part:
    """The open file. What it does blocks, and is done in threads."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path) -> "Part":
        """A new file, locked, whose name is durable."""
        with explained():
            path.parent.mkdir(exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            part = cls(path, os.open(path, flags, 0o600))
            try:
                part.lock()
                for folder in (path.parent, path.parent.parent):
                    sync_folder(folder)
            except OSError:
                part.remove()
                part.close()
                raise
        return part

    @classmethod
    def open(cls, path: Path) -> "Part | None":
        """The file, not yet locked; None where there is none."""
        try:
            return cls(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError:
            return None

    def lock(self) -> bool:
        """Take the lock that ends with this process at the latest; whether nobody else had it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        """Let another go on with it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def is_in_place(self) -> bool:
        """Whether this is still the upload's file, and not one that was moved or removed meanwhile."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def size(self) -> int:
        """Bytes in it, durable or not."""
        return os.fstat(self._descriptor).st_size

    def cut(self, size: int) -> None:
        """Throw away what lies behind this many bytes: nobody was told of it."""
        with explained():
            os.ftruncate(self._descriptor, size)

    def write(self, data: memoryview, at: int) -> None:
        """Write all of it at this offset."""
        with explained():
            while data:
                written = os.pwrite(self._descriptor, data, at)
                data, at = data[written:], at + written

    def sync(self) -> None:
        """Wait until its bytes are on the disk."""
        with explained():
            os.fsync(self._descriptor)

    def read(self, start: int, size: int) -> bytes:
        """Bytes from ``start`` on; fewer where there are no more."""
        with explained():
            return os.pread(self._descriptor, size, start)

    def digest(self) -> str:
        """The SHA-256 of all of it, in hexadecimal."""
        hashed, at = hashlib.sha256(), 0
        while block := self.read(at, BLOCK):
            hashed.update(block)
            at += len(block)
        return hashed.hexdigest()

    def touch(self) -> None:
        """Let it look as if it had just been written."""
        with explained():
            os.utime(self._descriptor)

    def remove(self) -> None:
        """Remove it, where it is still in its place."""
        remove(self.path)

    def close(self) -> None:
        """Close it, and with that unlock it."""
        os.close(self._descriptor)


async def try_lock(part: Part, patience: float) -> bool:
    """Wait for the lock; whether it was had in time."""
    deadline = monotonic() + patience
    while not part.lock():
        if monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_EVERY)
    return True


@asynccontextmanager
async def held(path: Path, *, patience: float) -> AsyncIterator[Part | None]:
    """The locked file; None where there is none (any more).

    Raises:
        UploadLockedException: it is in use, for longer than ``patience`` seconds.
    """
    deadline = monotonic() + patience
    while (part := await in_thread(Part.open, path)) is not None:
        try:
            if not await try_lock(part, deadline - monotonic()):
                raise UploadLockedException(headers={"Retry-After": "1"})
            if await in_thread(part.is_in_place):
                yield part
                return
        finally:
            part.close()
    yield None
