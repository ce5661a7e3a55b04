"""Objects in a bucket of S3 or of what speaks its protocol.

Imported where a bucket is configured and nowhere else: who has none does not pay for the library.
"""

import threading
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.core.config import secret_text
from app.core.config.groups import StorageSettings
from app.services.workspace.bucket_errors import answered, state_of
from app.services.workspace.objects import PAGE, ObjectFile, ObjectInfo, Stored, is_key, place
from app.services.workspace.status import State, unreadable

if TYPE_CHECKING:
    from obstore import ObjectMeta

PART: Final = 5 * 1024 * 1024
"""Bytes of one part of a large object, of which two are on their way at once; the protocol's least."""

MOST_PARTS: Final = 9_000
"""Of one object; the protocol ends at 10 000."""

WINDOW: Final = 2 * 1024 * 1024
"""Bytes that are asked for ahead at most: a client that reads slowly holds no answer of the storage open."""

GOOD_FOR: Final = 15.0
"""Seconds that a good verdict on the bucket holds, for each costs a request."""

BAD_FOR: Final = 2.0
"""Seconds that any other holds."""

_PATIENT: Final = timedelta(seconds=60)
_BRISK: Final = timedelta(seconds=5)
_HASTY: Final = timedelta(seconds=2)


class BucketStore:
    """Objects in a bucket, under ``prefix`` (with its slash) in the same folders as on a disk."""

    def __init__(self, settings: StorageSettings) -> None:
        self._prefix = settings.s3_prefix
        self._bulk = _client(settings, timeout=_PATIENT, retries=3)
        self._quick = _client(settings, timeout=_BRISK, retries=1)
        self._probe = _client(settings, timeout=_HASTY, retries=0)
        self._looking = threading.Lock()
        self._verdict = (State.UNREACHABLE, 0.0)

    def check(self) -> State:
        """Whether the bucket answers and lets us in, as far as a list of nothing tells."""
        with self._looking:
            state, until = self._verdict
            if time.monotonic() >= until:
                state = self._asked()
                holds = GOOD_FOR if state is State.WRITABLE else BAD_FOR
                self._verdict = (state, time.monotonic() + holds)
        return state

    def path(self, key: str) -> None:
        """Nothing is on this machine's disk."""
        return

    async def stage(self, source: Path, stored: Stored) -> None:
        """Send the file, in parts where it is large; it is there whole or not at all."""
        part = max(PART, stored.size // MOST_PARTS + 1)
        name = self._name(stored.key)
        with answered():
            await obstore.put_async(self._bulk, name, source, chunk_size=part, max_concurrency=2)

    async def put(self, source: Path, stored: Stored) -> None:
        """See that what was sent is still there, for somebody may have removed it meanwhile."""
        found = await self.info(stored.key)
        if found is None or found.size != stored.size:
            await self.stage(source, stored)

    async def info(self, key: str) -> ObjectInfo | None:
        """What the bucket says of it."""
        try:
            with answered(reading=True):
                meta = await obstore.head_async(self._quick, self._name(key))
        except FileNotFoundError:
            return None
        return _info(meta)

    def open(self, key: str) -> AbstractAsyncContextManager[ObjectFile]:
        """Parts of it, each asked for when it is wanted."""
        return self._opened(key)

    async def remove(self, keys: Collection[str]) -> None:
        """Delete them, many in one request."""
        if keys:
            with answered():
                await obstore.delete_async(self._quick, [self._name(key) for key in keys])

    async def pages(self) -> AsyncIterator[list[ObjectInfo]]:
        """What the bucket lists under our prefix."""
        with answered(reading=True):
            async for page in obstore.list(self._bulk, f"{self._prefix}objects", chunk_size=PAGE):
                if known := [_info(meta) for meta in page if is_key(_base(meta["path"]))]:
                    yield known

    @asynccontextmanager
    async def _opened(self, key: str) -> AsyncIterator[ObjectFile]:
        yield _BucketFile(self._bulk, self._name(key), await self._size(key))

    async def _size(self, key: str) -> int:
        found = await self.info(key)
        if found is None:
            raise unreadable()
        return found.size

    def _name(self, key: str) -> str:
        return self._prefix + place(key)

    def _asked(self) -> State:
        try:
            next(iter(obstore.list(self._probe, f"{self._prefix}health", chunk_size=1)), None)
        except BaseError as error:
            return state_of(error)
        return State.WRITABLE


class _BucketFile:
    """An object that is read in windows, which grow while it is read on: a small range costs little."""

    def __init__(self, client: S3Store, name: str, size: int) -> None:
        self._client = client
        self._name = name
        self._size = size
        self._at = 0
        self._ahead = memoryview(b"")
        self._window = 0

    async def seek(self, offset: int, /) -> int:
        """Go on from this byte; nothing is asked for yet."""
        if offset != self._at:
            self._at, self._window, self._ahead = offset, 0, memoryview(b"")
        return offset

    async def read(self, size: int, /) -> bytes:
        """The next bytes, with one request at most."""
        if not self._ahead:
            await self._fetch(min(max(size, self._window), self._size - self._at))
        chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        self._at += len(chunk)
        return bytes(chunk)

    async def _fetch(self, length: int) -> None:
        if length <= 0:
            return
        try:
            with answered(reading=True):
                got = await obstore.get_range_async(self._client, self._name, start=self._at, length=length)
        except FileNotFoundError as error:
            raise unreadable() from error
        self._ahead = memoryview(got.to_bytes())
        self._window = min(2 * length, WINDOW)


@cache
def bucket(settings: StorageSettings) -> BucketStore:
    """The one store of a process for these settings: its connections are used again."""
    return BucketStore(settings)


def _info(meta: "ObjectMeta") -> ObjectInfo:
    return ObjectInfo(_base(meta["path"]), meta["size"], meta["last_modified"].timestamp())


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _client(settings: StorageSettings, *, timeout: timedelta, retries: int) -> S3Store:
    return S3Store(
        settings.s3_bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key,
        secret_access_key=secret_text(settings.s3_secret_key),
        client_options={"allow_http": True, "timeout": timeout, "connect_timeout": _HASTY},
        retry_config={"max_retries": retries, "retry_timeout": timeout},
    )
