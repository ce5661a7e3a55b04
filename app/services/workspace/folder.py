"""Objects in a folder of this machine, or of a disk that several share."""

import os
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import islice
from pathlib import Path

import anyio
import anyio.to_thread

from app.services.workspace.durable import make_durable_folder, sync_folder
from app.services.workspace.objects import PAGE, ObjectFile, ObjectInfo, Stored, is_key, place
from app.services.workspace.status import State, explained, readable


class FolderStore:
    """Objects as files; the folder itself is looked at by the workspace, which it is a part of."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def check(self) -> State:
        """It can do what its workspace can."""
        return State.WRITABLE

    def path(self, key: str) -> Path:
        """Where the object is, whether it exists or not."""
        return self._root / place(key)

    async def stage(self, source: Path, stored: Stored) -> None:
        """Nothing takes long here."""

    async def put(self, source: Path, stored: Stored) -> None:
        """Rename the file, which must be on the same file system."""
        await anyio.to_thread.run_sync(self._put, source, stored.key)

    async def info(self, key: str) -> ObjectInfo | None:
        """What the file system says of it."""
        return await anyio.to_thread.run_sync(self._info, key)

    def open(self, key: str) -> AbstractAsyncContextManager[ObjectFile]:
        """The file, read in threads."""
        return _opened(self.path(key))

    async def remove(self, keys: Collection[str]) -> None:
        """Unlink the files."""
        await anyio.to_thread.run_sync(self._remove, keys)

    async def pages(self) -> AsyncIterator[list[ObjectInfo]]:
        """What is in the folders, one after another."""
        found = self._listed()
        while page := await anyio.to_thread.run_sync(list, islice(found, PAGE)):
            yield page

    def _put(self, source: Path, key: str) -> None:
        target = self.path(key)
        with explained():
            make_durable_folder(target.parent, within=self._root)
            source.replace(target)
            sync_folder(target.parent)

    def _info(self, key: str) -> ObjectInfo | None:
        with readable():
            try:
                facts = self.path(key).stat()
            except FileNotFoundError:
                return None
        return ObjectInfo(key, facts.st_size, facts.st_mtime)

    def _remove(self, keys: Collection[str]) -> None:
        with explained():
            for key in keys:
                self.path(key).unlink(missing_ok=True)

    def _listed(self) -> Iterator[ObjectInfo]:
        for folder in _folders(self._root / "objects"):
            for inner in _folders(folder):
                for entry in _entries(inner):
                    if is_key(entry.name):
                        with suppress(FileNotFoundError):
                            facts = entry.stat(follow_symlinks=False)
                            yield ObjectInfo(entry.name, facts.st_size, facts.st_mtime)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _folders(folder: str | Path) -> list[str]:
    return [entry.path for entry in _entries(folder) if len(entry.name) == 2 and entry.is_dir()]


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[ObjectFile]:
    with readable():
        file = await anyio.open_file(path, "rb")
    try:
        yield file
    finally:
        # It must be closed in a cancelled task too.
        with anyio.CancelScope(shield=True):
            await file.aclose()
