"""What an account's export holds: which rows, and of them what its owner may know."""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, case, null, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from app.models.api_key import ApiKey
from app.models.audit_event import AuditEvent
from app.models.base import Base
from app.models.job import Job
from app.models.media_file import MediaFile
from app.models.session import Session
from app.models.upload import Upload
from app.models.user import User


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to read, in the order of their key, which is among the columns as ``id``."""

    query: Select[Any]
    key: InstrumentedAttribute[uuid.UUID]


def tables(user_id: uuid.UUID) -> dict[str, Rows]:
    """The rows of each JSON file. Hashes of passwords, tokens and keys are in none."""
    return {
        "account.json": _rows(
            User,
            User.id == user_id,
            "email pending_email name role email_verified_at created_at updated_at",
        ),
        "sessions.json": _rows(
            Session,
            Session.user_id == user_id,
            "created_at last_used_at expires_at revoked_at revoked_reason by_cookie address user_agent",
        ),
        "api_keys.json": _rows(
            ApiKey,
            ApiKey.user_id == user_id,
            "name prefix scopes created_at expires_at last_used_at revoked_at",
        ),
        "jobs.json": _rows(
            Job,
            Job.owner_id == user_id,
            "kind queue args state progress attempt result error created_at started_at finished_at",
        ),
        "media.json": _rows(
            MediaFile,
            MediaFile.owner_id == user_id,
            "name size sha256 mime_type kind width height duration probe note job_id created_at updated_at",
        ),
        "uploads.json": _rows(
            Upload,
            Upload.owner_id == user_id,
            "name described length received media_id created_at updated_at finished_at expires_at",
        ),
        "audit.json": _events(user_id),
    }


def files(user_id: uuid.UUID) -> Rows:
    """What is needed of each media file to add its content."""
    return _rows(MediaFile, MediaFile.owner_id == user_id, "name size sha256 created_at")


def _rows(table: type[Base], mine: ColumnElement[bool], names: str) -> Rows:
    key = table.id  # type: ignore[attr-defined]  # every table here has one (Identified)
    return Rows(select(key, *(getattr(table, name) for name in names.split())).where(mine), key)


def _events(user_id: uuid.UUID) -> Rows:
    """The account's events; of what others did to it, not from where: that is data about them."""
    own = or_(AuditEvent.actor_id.is_(None), AuditEvent.actor_id == user_id)
    about = (AuditEvent.actor_id, AuditEvent.session_id, AuditEvent.address, AuditEvent.user_agent)
    query = select(
        AuditEvent.id,
        AuditEvent.created_at,
        AuditEvent.event,
        AuditEvent.details,
        *(case((own, column), else_=null()).label(column.key) for column in about),
    )
    return Rows(query.where(AuditEvent.user_id == user_id), AuditEvent.id)
