"""What the API says of resumable uploads."""

import uuid

from pydantic import Field

from app.schemas.base import Timestamp, TimestampSchema


class UploadStatus(TimestampSchema):
    """A resumable upload: how far it is, and what became of it."""

    name: str | None = Field(description="What its sender calls the file.", examples=["holiday.mp4"])
    length: int = Field(description="Bytes that are to come in all.")
    received: int = Field(description="Bytes that are held durably: where to go on.")
    finished_at: Timestamp | None = Field(description="When it became a media file.")
    media_id: uuid.UUID | None = Field(description="The media file that it became.")
    expires_at: Timestamp = Field(description="Until when it waits for its next byte.")
