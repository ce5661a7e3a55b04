"""Rows of files, for tests of what refers to objects."""

from typing import Any

from app.models.media_file import MediaFile
from tests.accounts import OWNER


def media(key: str, **values: Any) -> MediaFile:
    """A file of OWNER whose content is this object."""
    facts = {"owner_id": OWNER, "name": "a.mp4", "size": 4, "mime_type": "video/mp4", "kind": "video"}
    return MediaFile(**facts | {"sha256": key} | values)
