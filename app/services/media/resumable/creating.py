"""The beginning of a resumable upload, which may bring bytes along, and all of them too."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security import digest
from app.models.base import new_id
from app.models.upload import Upload
from app.services.media import intake, quota
from app.services.media.quota import Allowance
from app.services.media.resumable import finishing, rows
from app.services.media.resumable.part import Part, in_thread, part_path
from app.services.media.resumable.record import Unrecorded
from app.services.media.resumable.rows import Store
from app.services.media.resumable.writer import Checksum, Writer, fill
from app.services.media.strays import removed_on_error
from app.services.workspace.locks import hold


@dataclass(frozen=True, slots=True)
class Announced:
    """A file that somebody wants to send: its bytes, its name, and the metadata as they were sent."""

    length: int
    name: str | None
    described: str | None


async def create(
    session: AsyncSession,
    store: Store,
    announced: Announced,
    body: AsyncIterator[bytes],
    *,
    allowance: Allowance,
    limit: int,
    checksum: Checksum | None = None,
    claim: Callable[[str], Awaitable[None]] | None = None,
) -> Upload:
    """Begin an upload, with the bytes that came along; the session is not touched before they are durable.

    Args:
        session: the caller's transaction, with which the upload begins to exist.
        store: where uploads live.
        announced: what is to come.
        body: the first bytes; often none.
        allowance: what the account may store.
        limit: the most bytes of a file.
        checksum: of the body.
        claim: told what was sent, as a digest, before anything is done that would stay.

    Raises:
        PayloadTooLargeException: it is over the limit, or more came than was announced.
        QuotaExceededException: the account has no room for it.
        UnsupportedMediaTypeException: its content is none of the accepted types.
        ChecksumMismatchException: the body is not what was meant.
        InsufficientStorageException: the workspace is missing, read-only or full.
    """
    intake.require_size(announced.length, limit=limit)
    await allowance.require(announced.length)
    await in_thread(store.workspace.require_room, announced.length)
    upload = Upload(id=new_id(), owner_id=allowance.owner_id, received=0, writer=0, **asdict(announced))
    part = await in_thread(Part.create, part_path(store.workspace, upload.id))
    try:
        writer = Writer(store.workspace, part, upload, Unrecorded(), checksum)
        await fill(writer, body)
        upload.received = writer.position
        content = await in_thread(part.digest) if claim is not None or upload.is_whole else ""

        async def admit() -> None:
            if claim is not None:
                await claim(digest(f"{upload.length} {upload.described} {content}"))
            await quota.reserve(session, upload.owner_id, quota=allowance.quota, size=upload.length)

        if upload.is_whole:
            await _add_whole(session, store, part, upload, content, allowance=allowance, admit=admit)
        else:
            await admit()
            await _add(session, store, upload)
    except BaseException:
        part.remove()
        raise
    finally:
        part.close()
    return upload


async def _add_whole(
    session: AsyncSession,
    store: Store,
    part: Part,
    upload: Upload,
    key: str,
    *,
    allowance: Allowance,
    admit: Callable[[], Awaitable[None]],
) -> None:
    """Put a whole file in its place, and make the media file of it."""
    media_type = await finishing.type_of(part)
    # Again, before it is sent to a bucket in vain.
    await allowance.require(upload.length)
    # Before the transaction begins, for that can take long.
    stored = await finishing.stage(store, part, key)
    async with removed_on_error(session, store.workspace, store.begin) as sent:
        sent.add(key)
        await hold(session, key)
        await admit()
        await store.workspace.put(part.path, stored)
        await _add(session, store, upload)
        await finishing.add(session, store, upload, media_type, key)
        await session.refresh(upload)
    # Where a place is no folder beside it, the file has not gone there by itself; no row speaks of it yet.
    await in_thread(part.remove)


async def _add(session: AsyncSession, store: Store, upload: Upload) -> None:
    upload.expires_at = rows.later(store.expiry)
    session.add(upload)
    await session.flush()
    await session.refresh(upload)
