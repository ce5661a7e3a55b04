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
from app.services.media.types import MediaType


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
        media_type = await _place(store, part, upload, allowance) if upload.is_whole else None
        if claim is not None:
            content = upload.sha256 or await in_thread(part.digest)
            await claim(digest(f"{upload.length} {upload.described} {content}"))
        await quota.reserve(session, upload.owner_id, quota=allowance.quota, size=upload.length)
        await _add(session, store, upload, media_type)
    except BaseException:
        part.remove()
        raise
    finally:
        part.close()
    return upload


async def _place(store: Store, part: Part, upload: Upload, allowance: Allowance) -> MediaType:
    """Put a whole file in its place, before the transaction begins, for that can take long."""
    media_type = await finishing.type_of(part)
    upload.sha256 = await in_thread(part.digest)
    # Again, for what is put in its place and then refused takes room until strays are swept.
    await allowance.require(upload.length)
    await finishing.put(store, part, upload.sha256)
    return media_type


async def _add(session: AsyncSession, store: Store, upload: Upload, media_type: MediaType | None) -> None:
    upload.expires_at = rows.later(store.expiry)
    session.add(upload)
    await session.flush()
    if media_type is not None and upload.sha256 is not None:
        await finishing.add(session, store, upload, media_type, upload.sha256)
    await session.refresh(upload)
