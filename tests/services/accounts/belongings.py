"""An account with one of everything that can belong to it."""

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from app.core.database import Sessions, transaction
from app.models.api_key import ApiKey
from app.models.audit_event import AuditEvent
from app.models.base import Base
from app.models.data_export import DataExport
from app.models.idempotency_key import IdempotencyKey
from app.models.job import Job, JobEvent
from app.models.media_file import MediaFile
from app.models.session import Session
from app.models.upload import Upload
from app.models.user import User
from app.services.workspace import Workspace

OWNED: tuple[tuple[type[Base], str], ...] = (
    (MediaFile, "owner_id"),
    (Upload, "owner_id"),
    (DataExport, "user_id"),
    (Job, "owner_id"),
    (ApiKey, "user_id"),
    (Session, "user_id"),
    (IdempotencyKey, "user_id"),
    (User, "id"),
)


def media(owner_id: uuid.UUID, key: str, **more: object) -> MediaFile:
    given = {"name": "a.mp4", "size": 4, "mime_type": "video/mp4", "kind": "video"} | more
    return MediaFile(owner_id=owner_id, sha256=key, **given)


async def give(sessions: Sessions, workspace: Workspace, user_id: uuid.UUID, words: str) -> list[str]:
    """Give an account its belongings; the keys of their objects: file, thumbnail, export, renditions."""
    kinds = ("file", "thumbnail", "export", "poster", "preview", "waveform")
    keys = [(await workspace.keep(f"{words} {what}".encode())).key for what in kinds]
    made = dict(zip(("poster_key", "preview_key", "waveform_key"), keys[3:], strict=True))
    later = datetime.now(UTC) + timedelta(days=1)
    async with transaction(sessions) as session:
        job = Job(owner_id=user_id, kind="test.nothing", queue="default", args={"of": words})
        session.add(job)
        await session.flush()
        session.add_all(
            [
                JobEvent(job_id=job.id, state="queued", attempt=0, progress=0.0),
                media(user_id, keys[0], thumbnail_key=keys[1], job_id=job.id, **made),
                Upload(owner_id=user_id, length=4, sha256=keys[0], expires_at=later),
                DataExport(user_id=user_id, object_key=keys[2], job_id=job.id, expires_at=later),
                ApiKey(user_id=user_id, name=words, prefix="hfk_", key_hash=keys[0], scopes=["jobs:read"]),
                IdempotencyKey(
                    user_id=user_id,
                    operation="POST /",
                    key_hash=keys[0],
                    fingerprint=keys[0],
                    expires_at=later,
                ),
                AuditEvent(
                    event="account.registered", user_id=user_id, actor_id=user_id, address="192.0.2.1"
                ),
            ]
        )
    return keys


async def left(sessions: Sessions, user_id: uuid.UUID) -> dict[str, int]:
    """How many rows of each table still belong to an account."""
    async with sessions() as session:
        return {
            table.__tablename__: len(
                (await session.scalars(select(table).where(getattr(table, owner) == user_id))).all()
            )
            for table, owner in OWNED
        }
