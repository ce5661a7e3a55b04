"""What is made of a file, by name, and as what it is sent."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from app.services.media import stills, waveform


class Rendition(StrEnum):
    """What is made of a file; each has a column of that name with its object's key."""

    THUMBNAIL = "thumbnail"
    POSTER = "poster"
    PREVIEW = "preview"
    WAVEFORM = "waveform"


NONE_DUE: Final[Mapping[Rendition, str]] = {
    Rendition.THUMBNAIL: "There is no picture in it.",
    Rendition.POSTER: "Only videos, and sound with a cover, have one.",
    Rendition.PREVIEW: "It was processed before previews were made: upload it again.",
    Rendition.WAVEFORM: "There is no sound in it.",
}
"""Why a file that was processed has none, where it has no note of it."""

EXTENSIONS: Final[Mapping[str, str]] = {
    stills.MIME: ".jpg",
    waveform.MIME: ".json",
    "video/mp4": ".mp4",
    "audio/mp4": ".m4a",
}


def mime_of(which: Rendition, preview_type: str | None) -> str:
    """The type of a rendition; that of a preview stands in its file's row."""
    if which is Rendition.PREVIEW and preview_type is not None:
        return preview_type
    return waveform.MIME if which is Rendition.WAVEFORM else stills.MIME
