"""Where a writer's progress is written down."""

import uuid
from dataclasses import dataclass

from app.services.media.resumable import rows
from app.services.media.resumable.rows import Store


@dataclass(frozen=True, slots=True)
class Record:
    """In the row, behind a fence: one short transaction each time."""

    store: Store
    upload_id: uuid.UUID
    writer: int

    async def advance(self, received: int) -> None:
        """Write down that this many bytes are durable."""
        async with self.store.begin() as session:
            await rows.advance(
                session, self.upload_id, writer=self.writer, received=received, expiry=self.store.expiry
            )

    async def confirm(self) -> None:
        """See that nobody else has written since."""
        async with self.store.begin() as session:
            await rows.require_writer(session, self.upload_id, self.writer)


class Unrecorded:
    """Nowhere: nobody knows of the upload before its row is there."""

    async def advance(self, received: int) -> None:
        """Nothing to do."""

    async def confirm(self) -> None:
        """Nothing to do."""
