"""The folder of content-addressed objects."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Self

import anyio
import anyio.to_thread

from app.core.config import AppSettings
from app.services.workspace.durable import is_older, make_durable_folder, sync_folder
from app.services.workspace.incoming import CHUNK, Incoming, Stored
from app.services.workspace.status import CAUSES, State, WorkspaceStatus, explained, storage_error


class Workspace:
    """The folder of all stored files. Making one touches nothing.

    Args:
        root: the folder; ``objects`` in it holds the files.
        uploads: where uploads grow, on the same file system; ``root/uploads`` where it is not given.
        temporary: where jobs work; ``root/tmp`` where it is not given.
        minimum_free: bytes that must stay free on the file system.
        create: make the root where it is missing. A volume that should be mounted is never made:
            what was stored would vanish with the container.
    """

    def __init__(
        self,
        root: Path,
        *,
        uploads: Path | None = None,
        temporary: Path | None = None,
        minimum_free: int = 0,
        create: bool = False,
    ) -> None:
        self.root = root
        self.objects = root / "objects"
        self.uploads = uploads or root / "uploads"
        self.temporary = temporary or root / "tmp"
        self.minimum_free = minimum_free
        self._create = create

    @classmethod
    def from_settings(cls, settings: AppSettings) -> Self:
        """The workspace that the settings choose; in the state folder it is made where it is missing."""
        return cls(
            settings.workspace_root,
            uploads=settings.media.upload_dir,
            temporary=settings.media.temp_dir,
            minimum_free=settings.media.minimum_free,
            create=settings.media.workspace_root is None,
        )

    def path(self, key: str) -> Path:
        """Where the object of this key is, whether it exists or not."""
        return self.objects / key[:2] / key[2:4] / key

    def check(self) -> WorkspaceStatus:
        """What can be done with the workspace now. Blocks for as long as the file system takes."""
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
        status = self.check()
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

    async def keep_file(self, path: Path) -> Stored:
        """Store a copy of a finished file, such as one in a work folder, which may be on another disk.

        Raises:
            InsufficientStorageException: the workspace is missing, read-only or full.
            OSError: the file cannot be read.
        """
        async with await anyio.open_file(path, "rb") as file:
            size = (await anyio.Path(path).stat()).st_size
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
            folder = tempfile.mkdtemp(prefix="work-", dir=self.temporary)
        try:
            yield Path(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _ensure_root(self) -> None:
        if self._create:
            self.root.mkdir(parents=True, exist_ok=True)

    def _open(self, limit: int, expected: int) -> Incoming:
        self.require_room(expected)
        with explained():
            self.uploads.mkdir(exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix="upload-", dir=self.uploads)
        return Incoming(self, descriptor, Path(name), limit)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep putting in place and removing strays apart, over all processes of this workspace."""
        with (self.root / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def put(self, source: Path, key: str) -> None:
        """Move a durable file of this workspace to its place, over an older one of the same content."""
        target = self.path(key)
        make_durable_folder(target.parent, within=self.root)
        with self._locked():
            source.replace(target)
        sync_folder(target.parent)

    def aged_objects(self, seconds: float) -> Iterator[str]:
        """The keys of the objects that were put in place longer ago than this. Blocks."""
        for path in self.objects.glob("??/??/*"):
            if is_older(path, seconds):
                yield path.name

    def remove_aged(self, key: str, seconds: float) -> bool:
        """Remove an object unless it was put in place anew since it was found. Blocks."""
        path = self.path(key)
        with self._locked():
            if not is_older(path, seconds):
                return False
            path.unlink(missing_ok=True)
        return True

    def remove_leftovers(self, seconds: float) -> int:
        """Remove what dead processes left of uploads and work longer ago than this; how many. Blocks."""
        removed = 0
        for path in [*self.uploads.glob("upload-*"), *self.temporary.glob("work-*")]:
            if is_older(path, seconds):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                removed += 1
        return removed
