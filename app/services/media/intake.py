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
from app.services.media import id3, quota
from app.services.media.files import detail
from app.services.media.multipart import MAXIMUM_OTHER
from app.services.media.names import clean_name
from app.services.media.quota import Allowance
from app.services.media.strays import Begin, removed_on_error
from app.services.media.types import MediaType, behind_tag, sniff
from app.services.workspace import Stored, Workspace
from app.services.workspace.incoming import HEAD
from app.services.workspace.locks import hold

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
    allowance: Allowance | None = None,
    expected: int = 0,
    claim: Callable[[str], Awaitable[None]] | None = None,
    begin: Begin | None = None,
) -> MediaFileDetail:
    """Store an upload, then add its row and the job that processes it to the session's transaction.

    The session is not touched before the file has arrived, so that a slow sender holds no connection.

    Args:
        session: the caller's transaction.
        workspace: where the file goes.
        upload: what arrives.
        owner_id: whose it will be.
        limit: the most bytes.
        allowance: what the account may store; as much as there is room for where it is not given.
        expected: the bytes announced, 0 where none were.
        claim: told what was sent, as a digest, once it is durable and before it is put in its place. A second
            try may look different on its way here, so it is not told earlier.
        begin: opens a transaction, in which what was sent to a bucket and then refused is removed.

    Raises:
        BadRequestException: the file is empty.
        PayloadTooLargeException: it is over the limit.
        QuotaExceededException: the account has no room for it.
        UnsupportedMediaTypeException: its content is none of the accepted types.
        InsufficientStorageException: the workspace is missing, read-only or full.
        ServiceUnavailableException: the bucket does not answer.
    """
    allowance = allowance or Allowance(owner_id)
    async with removed_on_error(session, workspace, begin) as sent:

        async def admit(stored: Stored) -> None:
            sent.add(stored.key)
            await hold(session, stored.key)
            if claim is not None:
                await claim(digest(f"{stored.key} {upload.filename or ''}"))
            await quota.reserve(session, owner_id, quota=allowance.quota, size=stored.size)

        stored, media_type = await _store(
            workspace, upload, limit=limit, allowance=allowance, expected=expected, admit=admit
        )
        file = await add(session, stored, media_type, owner_id=owner_id, filename=upload.filename)
    return detail(file)


async def add(
    session: AsyncSession,
    stored: Stored,
    media_type: MediaType,
    *,
    owner_id: uuid.UUID,
    filename: str | None,
) -> MediaFile:
    """Add the row of a durable object, and the job that processes it."""
    file = MediaFile(
        owner_id=owner_id,
        name=clean_name(filename, extension=media_type.extension),
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
    return file


async def type_of(head: bytes, read: Callable[[int, int], Awaitable[bytes]]) -> MediaType:
    """The type of a whole file.

    Args:
        head: its first ``HEAD`` bytes.
        read: gives bytes from a start on, as many as it is asked for or as there are.

    Raises:
        UnsupportedMediaTypeException: it is none of the accepted ones.
    """
    media_type = sniff(head)
    tag = id3.length(head)
    if tag and len(head) == HEAD:
        # A cover fills the tag: what kind of sound follows stands far behind it.
        return behind_tag(await read(tag, HEAD))
    return media_type


async def _store(
    workspace: Workspace,
    upload: Upload,
    *,
    limit: int,
    allowance: Allowance,
    expected: int,
    admit: Callable[[Stored], Awaitable[None]],
) -> tuple[Stored, MediaType]:
    is_told = False
    # The form around a file is no part of it.
    standing = await allowance.require(expected - MAXIMUM_OTHER)
    async with workspace.receive(limit=limit, expected=expected) as incoming:
        async for chunk in upload:
            await incoming.write(chunk)
            if not standing.fits(incoming.size):
                raise standing.refusal(incoming.size)
            if not is_told and len(incoming.head) >= HEAD:
                # What is not accepted is refused here, and not after all of it was sent.
                sniff(incoming.head)
                is_told = True
        if incoming.size == 0:
            raise BadRequestException("The file is empty.")
        media_type = await type_of(incoming.head, incoming.read)
        # Again, before it is sent to a bucket in vain.
        await allowance.require(incoming.size)
        return await incoming.keep(lambda key: admit(Stored(key, incoming.size))), media_type
