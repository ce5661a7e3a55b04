"""What the job reads of a file and writes back."""

import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.media_file import MediaFile
from app.services.media.process import Outcome
from app.services.media.types import MEDIA_TYPES, MediaType

RENDITIONS: Final = ("thumbnail_key", "poster_key", "preview_key", "preview_type", "waveform_key")
"""Columns of a file, which an outcome has too."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be processed: the object and what its first bytes said."""

    key: str
    media_type: MediaType


async def source(session: AsyncSession, media_id: uuid.UUID) -> Source | None:
    """The file to process; None where it was deleted meanwhile."""
    query = select(MediaFile.sha256, MediaFile.mime_type).where(MediaFile.id == media_id)
    row = (await session.execute(query)).one_or_none()
    return Source(row.sha256, MEDIA_TYPES[row.mime_type]) if row else None


async def save(session: AsyncSession, media_id: uuid.UUID, outcome: Outcome) -> None:
    """Let a file that is still being processed show what there is of it; doing it again changes nothing."""
    # An attempt that lost its job takes nothing back of what another has finished.
    unfinished = update(MediaFile).where(MediaFile.id == media_id, MediaFile.probe.is_(None))
    await session.execute(unfinished.values(**_renditions(outcome)))


async def record(session: AsyncSession, media_id: uuid.UUID, outcome: Outcome) -> None:
    """Write down what processing found; doing it again changes nothing."""
    file = await session.get(MediaFile, media_id)
    if file is None:
        return
    probe = outcome.probe
    file.probe, file.kind = probe.facts, probe.kind
    file.width, file.height, file.duration = probe.width, probe.height, probe.duration
    for name, value in _renditions(outcome).items():
        setattr(file, name, value)
    file.note = "\n".join(outcome.notes) or None
    await session.flush()


def objects(outcome: Outcome) -> list[str | None]:
    """The keys of what was made."""
    return [value for name, value in _renditions(outcome).items() if name.endswith("_key")]


def _renditions(outcome: Outcome) -> dict[str, str | None]:
    return {name: getattr(outcome, name) for name in RENDITIONS}
