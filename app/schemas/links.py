"""Links to what is stored of a file, for elements of a page, which send no header."""

from enum import StrEnum

from pydantic import Field

from app.schemas.base import BaseSchema, Shown, Timestamp


class Linkable(StrEnum):
    """What a link may lead to: the last name in the path of a route that takes links."""

    CONTENT = "content"
    THUMBNAIL = "thumbnail"
    POSTER = "poster"
    PREVIEW = "preview"
    WAVEFORM = "waveform"


class Disposition(StrEnum):
    """What a browser does with a link that somebody follows (RFC 6266, section 4.2)."""

    INLINE = "inline"
    ATTACHMENT = "attachment"


class LinkCreate(BaseSchema):
    """What a link is wanted to, and for how long."""

    rendition: Linkable
    seconds: int | None = Field(
        None, ge=1, description="How long it holds; as long as it may where this is not given."
    )
    disposition: Disposition = Field(
        Disposition.INLINE,
        description="`attachment` saves it. So does `inline` with a type that browsers do not show.",
    )


class Link(BaseSchema):
    """A signed link. Who has it may fetch that one thing until then, and nothing else."""

    url: Shown = Field(
        description="Path and query, without scheme and host.",
        examples=["/api/v1/media/01900000-0000-7000-8000-000000000001/content?signature=..."],
    )
    expires_at: Timestamp
