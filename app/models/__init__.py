"""The tables. Importing this package registers every one of them on ``Base.metadata``."""

from app.models.base import Base
from app.models.job import Job, JobEvent
from app.models.media_file import MediaFile, MediaState
from app.models.schedule_slot import ScheduleSlot
from app.models.user import User

__all__ = ["Base", "Job", "JobEvent", "MediaFile", "MediaState", "ScheduleSlot", "User"]
