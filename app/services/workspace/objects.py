"""One interface to stored objects, whether they are in a folder or in a bucket."""

import re
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from app.services.workspace.status import State

PAGE: Final = 1000
"""Objects that are listed at once."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A durable object: its key (the SHA-256 in hexadecimal) and its size in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the storage says of an object: its bytes, and when it was put in place (seconds since 1970)."""

    key: str
    size: int
    modified: float


class ObjectFile(Protocol):
    """An object that is open to be read."""

    async def seek(self, offset: int, /) -> int:
        """Go on from this byte."""

    async def read(self, size: int, /) -> bytes:
        """Up to so many bytes, none at the end."""


class ObjectStore(Protocol):
    """Where objects are. Errors of writing say what is wrong with it; those of reading are 503.

    Objects are put in two steps, because the second is taken under a lock that also keeps removals away
    (``locks``) and must be short, and the first may last: it sends the bytes to where they need to be sent.
    """

    def check(self) -> State:
        """What can be done with it now. Blocks."""

    def path(self, key: str) -> Path | None:
        """Where the object is, or would be, on this machine's disk; None where objects are elsewhere."""

    async def stage(self, source: Path, stored: Stored) -> None:
        """Do all of putting a durable file in place that may take long."""

    async def put(self, source: Path, stored: Stored) -> None:
        """Put a staged file in its place, over an older one of the same content."""

    async def info(self, key: str) -> ObjectInfo | None:
        """What is known of an object, None where there is none."""

    def open(self, key: str) -> AbstractAsyncContextManager[ObjectFile]:
        """Open an object to read any part of it."""

    async def remove(self, keys: Collection[str]) -> None:
        """Remove objects; those that are gone already are no error."""

    def pages(self) -> AsyncIterator[list[ObjectInfo]]:
        """All objects, ordered by their keys."""


def is_key(name: str) -> bool:
    """Whether a name is that of an object; what else somebody has put beside them is left alone."""
    return re.fullmatch("[0-9a-f]{64}", name) is not None


def place(key: str) -> str:
    """The name of an object below the root, in folders that stay small."""
    return f"objects/{key[:2]}/{key[2:4]}/{key}"
