"""Taking files in: durable first, then the row and its job in one transaction."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security import digest
from app.exceptions.base import BadRequestException, PayloadTooLargeException
from app.models.media_file import MediaFile
from app.schemas.media import MediaFileDetail
from app.services.jobs import enqueue
from app.services.media import id3
from app.services.media.files import detail
from app.services.media.names import clean_name
from app.services.media.types import MediaType, behind_tag, sniff
from app.services.workspace import Stored, Workspace
from app.services.workspace.incoming import HEAD

PROCESS: Final = "media.process"
"""The name of the job that probes a file and makes its renditions."""


class Upload(Protocol):
    """A file as it arrives. Its name is known once it is read to the end."""

    filename: str | None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks of its content."""


def require_size(size: int, *, limit: int) -> None:
    """Refuse what announces itself as too large, before any of it is read.

    Raises:
        PayloadTooLargeException: it has more than ``limit`` bytes.
    """
    if size > limit:
        raise PayloadTooLargeException(
            f"The file is larger than the limit of {limit} bytes.", details={"limit": limit}
        )


async def accept(
    session: AsyncSession,
    workspace: Workspace,
    upload: Upload,
    *,
    owner_id: uuid.UUID,
    limit: int,
    expected: int = 0,
    claim: Callable[[str], Awaitable[None]] | None = None,
) -> MediaFileDetail:
    """Store an upload, then add its row and the job that processes it to the session's transaction.

    The session is not touched before the file is durable, so that a slow sender holds no connection.

    Args:
        session: the caller's transaction.
        workspace: where the file goes.
        upload: what arrives.
        owner_id: whose it will be.
        limit: the most bytes.
        expected: the bytes announced, 0 where none were.
        claim: told what was sent, as a digest, once it is durable and before anything else is done. A second
            try may look different on its way here, and storing the same content twice changes nothing.

    Raises:
        BadRequestException: the file is empty.
        PayloadTooLargeException: it is over the limit.
        UnsupportedMediaTypeException: its content is none of the accepted types.
        InsufficientStorageException: the workspace is missing, read-only or full.
    """
    stored, media_type = await _store(workspace, upload, limit=limit, expected=expected)
    if claim is not None:
        await claim(digest(f"{stored.key} {upload.filename or ''}"))
    file = MediaFile(
        owner_id=owner_id,
        name=clean_name(upload.filename, extension=media_type.extension),
        size=stored.size,
        sha256=stored.key,
        mime_type=media_type.mime,
        kind=media_type.kind,
    )
    session.add(file)
    await session.flush()
    file.job = await enqueue(session, PROCESS, {"media_id": file.id}, owner_id=owner_id)
    await session.flush()
    await session.refresh(file, ["created_at", "updated_at"])
    return detail(file)


async def _store(
    workspace: Workspace, upload: Upload, *, limit: int, expected: int
) -> tuple[Stored, MediaType]:
    media_type = None
    async with workspace.receive(limit=limit, expected=expected) as incoming:
        async for chunk in upload:
            await incoming.write(chunk)
            if media_type is None and len(incoming.head) >= HEAD:
                # What is not accepted is refused here, and not after all of it was sent.
                media_type = sniff(incoming.head)
        if incoming.size == 0:
            raise BadRequestException("The file is empty.")
        media_type = media_type or sniff(incoming.head)
        tag = id3.length(incoming.head)
        if tag and len(incoming.head) == HEAD:
            # A cover fills the tag: what kind of sound follows stands far behind it.
            media_type = behind_tag(await incoming.read(tag, HEAD))
        return await incoming.keep(), media_type
