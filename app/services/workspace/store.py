"""The workspace: a folder to work in, and the objects in it or in a bucket."""

import importlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Self

import anyio
import anyio.to_thread

from app.core.config import AppSettings
from app.services.workspace.durable import is_older
from app.services.workspace.folder import FolderStore
from app.services.workspace.incoming import CHUNK, Incoming
from app.services.workspace.objects import ObjectFile, ObjectInfo, ObjectStore, Stored, place
from app.services.workspace.status import (
    CAUSES,
    State,
    WorkspaceStatus,
    explained,
    storage_error,
    unreadable,
)

BUCKET: Final = "app.services.workspace.bucket"
"""The module of buckets, by its name: its library is loaded where there is one."""


class Workspace:
    """The folder of all that is stored and worked on. Making one touches nothing.

    Args:
        root: the folder; ``objects`` in it holds the files where there is no bucket.
        store: where objects are; the folder where it is not given.
        uploads: where uploads grow, on the file system of the objects; ``root/uploads`` where not given.
        temporary: where jobs work; ``root/tmp`` where it is not given.
        minimum_free: bytes that must stay free on the file system.
        create: make the root where it is missing. A volume that should be mounted is never made:
            what was stored would vanish with the container.
    """

    def __init__(
        self,
        root: Path,
        *,
        store: ObjectStore | None = None,
        uploads: Path | None = None,
        temporary: Path | None = None,
        minimum_free: int = 0,
        create: bool = False,
    ) -> None:
        self.root = root
        self.store: ObjectStore = store or FolderStore(root)
        self.objects = root / "objects"
        self.uploads = uploads or root / "uploads"
        self.temporary = temporary or root / "tmp"
        self.minimum_free = minimum_free
        self._create = create

    @classmethod
    def from_settings(cls, settings: AppSettings) -> Self:
        """The workspace that the settings choose; in the state folder it is made where it is missing."""
        storage = settings.storage
        return cls(
            settings.workspace_root,
            store=importlib.import_module(BUCKET).bucket(storage) if storage.s3_bucket else None,
            uploads=settings.media.upload_dir,
            temporary=settings.media.temp_dir,
            minimum_free=settings.media.minimum_free,
            create=settings.media.workspace_root is None,
        )

    def path(self, key: str) -> Path:
        """Where the folder has the object of this key, or would have it; ``local`` works with buckets too."""
        return self.root / place(key)

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        """An object as a file of this machine, for tools: itself, or a copy that is removed afterwards.

        Raises:
            InsufficientStorageException: there is no room for the copy.
            ServiceUnavailableException: there is no such object, or it cannot be had now.
        """
        path = self.store.path(key)
        if path is not None:
            yield path.absolute()
            return
        with self.work_folder() as folder:
            copy = folder.absolute() / key
            await self._fetch(key, copy)
            yield copy

    def open(self, key: str) -> AbstractAsyncContextManager[ObjectFile]:
        """An object to be read in any order, without a copy of it.

        Raises:
            ServiceUnavailableException: there is no such object, or it cannot be had now.
        """
        return self.store.open(key)

    async def info(self, key: str) -> ObjectInfo | None:
        """What is known of an object, None where there is none.

        Raises:
            ServiceUnavailableException: it cannot be known now.
        """
        return await self.store.info(key)

    async def remove(self, keys: Collection[str]) -> None:
        """Remove objects, whoever refers to them. Those that are gone already are no error.

        Raises:
            InsufficientStorageException: the workspace is missing or read-only.
            ServiceUnavailableException: the bucket does not answer.
        """
        await self.store.remove(keys)

    def check(self) -> WorkspaceStatus:
        """What can be done with the workspace now. Blocks for as long as file system and bucket take."""
        status = self._check_folder()
        if status.state is not State.WRITABLE:
            return status
        return WorkspaceStatus(self.store.check(), status.free)

    def _check_folder(self) -> WorkspaceStatus:
        try:
            self._ensure_root()
            if not self.root.is_dir():
                return WorkspaceStatus(State.MISSING, 0)
            facts = os.statvfs(self.root)
        except OSError as error:
            return WorkspaceStatus(CAUSES.get(error.errno or 0, State.MISSING), 0)
        free = facts.f_bavail * facts.f_frsize
        if facts.f_flag & os.ST_RDONLY or not os.access(self.root, os.W_OK | os.X_OK):
            return WorkspaceStatus(State.READ_ONLY, free)
        # Some file systems make inodes as they go and report none at all.
        if free <= self.minimum_free or (facts.f_files and not facts.f_favail):
            return WorkspaceStatus(State.FULL, free)
        return WorkspaceStatus(State.WRITABLE, free)

    def require_room(self, expected: int = 0) -> None:
        """Refuse early what could not be stored. Blocks.

        Raises:
            InsufficientStorageException: the workspace is missing, read-only or has no room left.
        """
        status = self._check_folder()
        if status.state is not State.WRITABLE:
            raise storage_error(status.state)
        if status.free - expected < self.minimum_free:
            raise storage_error(State.FULL)

    @asynccontextmanager
    async def receive(self, *, limit: int, expected: int = 0) -> AsyncIterator[Incoming]:
        """An upload that grows on the disk; what is not kept is removed at the end.

        Args:
            limit: the most bytes that are taken.
            expected: the bytes that the sender announced, 0 where it did not.

        Raises:
            InsufficientStorageException: the workspace is missing, read-only or full.
            PayloadTooLargeException: more than ``limit`` bytes came.
        """
        incoming = await anyio.to_thread.run_sync(self._open, limit, expected)
        try:
            yield incoming
        finally:
            # Not in a thread: it must happen in a cancelled task too, and takes no time.
            incoming.discard()

    async def keep(self, data: bytes) -> Stored:
        """Store bytes that are in memory already.

        Raises:
            InsufficientStorageException: the workspace is missing, read-only or full.
        """
        async with self.receive(limit=len(data), expected=len(data)) as incoming:
            await incoming.write(data)
            return await incoming.keep()

    async def keep_file(self, opened: BinaryIO) -> Stored:
        """Store a copy of a finished file, such as one in a work folder, which may be on another disk.

        It is given open: whoever made it could let its name mean another file.

        Raises:
            InsufficientStorageException: the workspace is missing, read-only or full.
            OSError: the file cannot be read.
        """
        file, size = anyio.wrap_file(opened), os.fstat(opened.fileno()).st_size
        async with self.receive(limit=size, expected=size) as incoming:
            while chunk := await file.read(CHUNK):
                await incoming.write(chunk)
            return await incoming.keep()

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A private folder for one piece of work, removed with everything in it. Blocks."""
        with explained():
            self._ensure_root()
            self.temporary.mkdir(exist_ok=True)
            folder = tempfile.mkdtemp(prefix="holdfast-work-", dir=self.temporary)
        try:
            yield Path(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _fetch(self, key: str, copy: Path) -> None:
        found = await self.store.info(key)
        if found is None:
            raise unreadable()
        await anyio.to_thread.run_sync(self.require_room, found.size)
        with explained():
            async with self.store.open(key) as source, await anyio.open_file(copy, "wb") as target:
                while chunk := await source.read(8 * CHUNK):
                    await target.write(chunk)

    def _ensure_root(self) -> None:
        if self._create:
            self.root.mkdir(parents=True, exist_ok=True)

    def _open(self, limit: int, expected: int) -> Incoming:
        self.require_room(expected)
        # Before all of it has arrived in vain.
        if (state := self.store.check()) is not State.WRITABLE:
            raise storage_error(state)
        with explained():
            self.uploads.mkdir(exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix="holdfast-upload-", dir=self.uploads)
        return Incoming(self, descriptor, Path(name), limit)

    async def stage(self, source: Path, stored: Stored) -> None:
        """Do all of putting a durable file of this workspace in its place that may take long.

        Raises:
            InsufficientStorageException: the bucket is full or refuses us.
            ServiceUnavailableException: the bucket does not answer.
        """
        await self.store.stage(source, stored)

    async def put(self, source: Path, stored: Stored) -> None:
        """Put a staged file in its place, over an older one of the same content; it may be gone afterwards.

        Where a row is to refer to it, its transaction holds the key (``locks.hold``) from before this on.

        Raises:
            InsufficientStorageException: the workspace filled up or went away, or the bucket refuses us.
            ServiceUnavailableException: the bucket does not answer.
        """
        await self.store.put(source, stored)

    def remove_leftovers(self, seconds: float) -> int:
        """Remove what dead processes left of uploads and work longer ago than this; how many. Blocks."""
        left = [path for path in self.uploads.glob("holdfast-upload-*") if is_older(path, seconds)]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left) + self.remove_abandoned_work(seconds)

    def remove_abandoned_work(self, seconds: float) -> int:
        """Remove folders of work begun longer ago than this, which is longer than any lasts. Blocks."""
        left = [path for path in self.temporary.glob("holdfast-work-*") if is_older(path, seconds)]
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        return len(left)
