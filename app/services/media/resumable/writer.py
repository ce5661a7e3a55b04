"""Appends a body to the file of an upload, and has written down what is durable."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from app.exceptions.base import BadRequestException, PayloadTooLargeException, RequestTimeoutException
from app.models.upload import Upload
from app.services.media.resumable.errors import ChecksumMismatchException, InterruptedException
from app.services.media.resumable.flow import Flow
from app.services.media.resumable.part import PATIENCE, Part, in_thread, try_lock
from app.services.media.types import sniff
from app.services.workspace import Workspace
from app.services.workspace.incoming import CHUNK, HEAD

CHECKPOINT: Final = 32 * 1024 * 1024
"""Bytes after which what came is made durable, so that a death costs no more than these."""
CHECKPOINT_SECONDS: Final = 5.0
"""The same for slow senders."""
PAUSE: Final = 1.0
"""Seconds without a byte after which a sender gives its place back."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must hash to."""

    algorithm: str
    digest: bytes


class Ledger(Protocol):
    """Where it is written down how much is durable."""

    async def advance(self, received: int) -> None:
        """Write down that this many bytes are. Raises as ``rows.refuse`` for who may not any more."""

    async def confirm(self) -> None:
        """See that nobody else has written since. Raises as ``rows.refuse`` where somebody has."""


class Writer:
    """One request's hold on an upload. The file is locked while bytes flow.

    Args:
        workspace: asked for room.
        part: the file, locked.
        upload: its row as it was when the file had been locked.
        ledger: told what is durable.
        checksum: of all that this request sends; then none of it counts before the end.
    """

    def __init__(
        self, workspace: Workspace, part: Part, upload: Upload, ledger: Ledger, checksum: Checksum | None
    ) -> None:
        self.upload_id = upload.id
        self.position = upload.received
        self._workspace = workspace
        self._part = part
        self._upload = upload
        self._ledger = ledger
        self._durable = upload.received
        self._saved_at = monotonic()
        self._buffer = bytearray()
        self._checksum = checksum
        self._hash = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        # Of a file whose beginning was here before it is known already.
        self._is_told = upload.received >= min(HEAD, upload.length)

    async def begin(self) -> None:
        """Cut off what a dead writer left behind the promised bytes."""
        await in_thread(self._part.cut, self.position)

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            PayloadTooLargeException: these are more than were announced.
            UnsupportedMediaTypeException: the file's type is none of the accepted ones.
            InsufficientStorageException: the workspace filled up or went away.
            NotFoundException, UploadGoneException: the upload was ended meanwhile.
            InterruptedException: another request has gone on.
        """
        if self.position + len(self._buffer) + len(chunk) > self._upload.length:
            raise too_long(self._upload)
        self._buffer += chunk
        if len(self._buffer) >= CHUNK:
            await self._flush()
        if self._checksum is None and self._is_due():
            await self.save()

    async def end(self) -> None:
        """All bytes of this request are here: prove them, and make them durable.

        Raises:
            ChecksumMismatchException: they are not those that were meant.
            and what ``write`` raises.
        """
        await self._flush()
        if self._checksum and self._hash:
            if not hmac.compare_digest(self._hash.digest(), self._checksum.digest):
                await in_thread(self._part.cut, self._durable)
                raise ChecksumMismatchException
            self._checksum = None
            await self._tell_type()
        await self.save()

    async def save(self) -> None:
        """Make what came so far durable, then have it written down; not what is still to be proven."""
        if self._checksum:
            return
        await self._flush()
        if self.position > self._durable:
            await in_thread(self._part.sync)
            await self._ledger.advance(self.position)
            self._durable = self.position
        self._saved_at = monotonic()

    async def pause(self) -> None:
        """Nothing comes: let another request go on, for this one's sender may have gone without a word."""
        await self._flush()
        await self.save()
        self._part.unlock()

    async def resume(self) -> None:
        """Something came after all.

        Raises:
            InterruptedException: another request has gone on, or is about to.
            NotFoundException, UploadGoneException: the upload was ended meanwhile.
        """
        is_ours = await try_lock(self._part, PATIENCE) and await in_thread(self._part.is_in_place)
        # First what the row says: without it the file is gone too, and nobody has gone on.
        await self._ledger.confirm()
        if not is_ours:
            raise InterruptedException

    def _is_due(self) -> bool:
        arrived = self.position + len(self._buffer) - self._durable
        return arrived >= CHECKPOINT or (arrived > 0 and monotonic() - self._saved_at >= CHECKPOINT_SECONDS)

    async def _flush(self) -> None:
        if not self._buffer:
            return
        buffer, self._buffer = self._buffer, bytearray()
        await in_thread(self._append, memoryview(buffer))
        if self._checksum is None:
            await self._tell_type()

    def _append(self, data: memoryview) -> None:
        if self._hash is not None:
            self._hash.update(data)
        self._part.write(data, self.position)
        self.position += len(data)
        self._workspace.require_room()

    async def _tell_type(self) -> None:
        """Refuse what is not accepted as soon as its beginning is here, and not after all of it was sent."""
        if not self._is_told and self.position >= min(HEAD, self._upload.length):
            sniff(await in_thread(self._part.read, 0, HEAD))
            self._is_told = True


def too_long(upload: Upload) -> PayloadTooLargeException:
    """What to tell who sends more than was announced."""
    return PayloadTooLargeException(
        f"The upload was announced with {upload.length} bytes: start one of the right length.",
        details={"length": upload.length},
    )


async def fill(writer: Writer, body: AsyncIterator[bytes]) -> None:
    """Write a body to its end. Where it breaks off, what came of it is kept.

    The lock is held while bytes come. A sender that pauses gives it back, with all that it sent made durable,
    and takes it again if nobody else has gone on: so who comes back after his connection died, without a
    word to us, waits a second and not until we notice.

    Raises:
        as of ``Writer.write`` and ``Writer.end``, and what the body raises.
    """
    async with Flow(body) as flow:
        try:
            while (chunk := await _next(writer, flow)) is not None:
                await writer.write(chunk)
            await writer.end()
        except (BadRequestException, RequestTimeoutException, asyncio.CancelledError):
            with suppress(Exception):
                await writer.save()
            raise


async def _next(writer: Writer, flow: Flow) -> bytes | None:
    if await flow.has_come(PAUSE):
        return await flow.take()
    await writer.pause()
    chunk = await flow.take()
    await writer.resume()
    return chunk
