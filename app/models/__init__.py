"""The tables. Importing this package registers every one of them on ``Base.metadata``."""

from app.models.api_key import ApiKey
from app.models.audit_event import AuditEvent
from app.models.base import Base
from app.models.data_export import DataExport
from app.models.idempotency_key import IdempotencyKey
from app.models.job import Job, JobEvent, JobLog, JobWatch
from app.models.media_file import MediaFile, MediaState
from app.models.schedule_slot import ScheduleSlot
from app.models.session import Session
from app.models.upload import Upload
from app.models.user import User, UserRole

__all__ = [
    "ApiKey",
    "AuditEvent",
    "Base",
    "DataExport",
    "IdempotencyKey",
    "Job",
    "JobEvent",
    "JobLog",
    "JobWatch",
    "MediaFile",
    "MediaState",
    "ScheduleSlot",
    "Session",
    "Upload",
    "User",
    "UserRole",
]
