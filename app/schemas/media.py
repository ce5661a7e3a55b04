"""What the API says of uploaded files."""

import uuid
from typing import Any, Literal

from pydantic import Field

from app.models.media_file import MediaState
from app.schemas.base import TimestampSchema


class MediaFileSummary(TimestampSchema):
    """A file in a list."""

    name: str = Field(description="What it was called, made safe to show.", examples=["holiday.mp4"])
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Of the content, in hexadecimal.")
    mime_type: str = Field(description="Told from the content.", examples=["video/mp4"])
    kind: Literal["image", "video", "audio"]
    state: MediaState = Field(
        description="`ready` when it was probed and all was made that can be made of it."
    )
    error: str | None = Field(description="Why processing failed.")
    note: str | None = Field(description="What is missing where it was due, and why: a line for each fact.")
    width: int | None = Field(description="Pixels, as it is shown.")
    height: int | None = Field(description="Pixels, as it is shown.")
    duration: float | None = Field(description="Seconds.")
    has_thumbnail: bool
    has_poster: bool = Field(description="A large picture: a frame of a video, the cover of a song.")
    has_preview: bool = Field(description="A light copy that every browser shows or plays.")
    has_waveform: bool = Field(description="The shape of its sound.")
    preview_type: Literal["video/mp4", "audio/mp4", "image/jpeg"] | None
    job_id: uuid.UUID | None = Field(description="The job that processes it.")


class MediaFileDetail(MediaFileSummary):
    """A file with all that is known of it."""

    probe: dict[str, Any] | None = Field(description="What ffprobe found: `format` and `streams`.")
