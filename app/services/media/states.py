"""How far a file is, told from its row and its job."""

from sqlalchemy import ColumnElement, and_, not_, or_

from app.models.job import Job, JobState
from app.models.media_file import MediaFile, MediaState

_WORKING = (JobState.RUNNING, JobState.RETRYING)

GONE = "It was not processed, and the job that should have done it is no longer kept."


def of(file: MediaFile) -> MediaState:
    """The state of a file whose job is loaded."""
    if file.probe is not None:
        return MediaState.READY
    if file.job is None:
        return MediaState.FAILED
    if file.job.state == JobState.QUEUED:
        return MediaState.UPLOADED
    return MediaState.PROCESSING if file.job.state in _WORKING else MediaState.FAILED


def is_in(state: MediaState) -> ColumnElement[bool]:
    """The same as a condition, in a query that joins the job."""
    ready = MediaFile.probe.is_not(None)
    queued = Job.state == JobState.QUEUED
    working = Job.state.in_(_WORKING)
    conditions = {
        MediaState.READY: ready,
        MediaState.UPLOADED: and_(not_(ready), queued),
        MediaState.PROCESSING: and_(not_(ready), working),
        MediaState.FAILED: and_(not_(ready), or_(Job.id.is_(None), not_(or_(queued, working)))),
    }
    return conditions[state]


def error_of(file: MediaFile) -> str | None:
    """Why processing failed, for the owner; None where it did not."""
    if of(file) is not MediaState.FAILED:
        return None
    if file.job is None:
        return GONE
    if file.job.state == JobState.CANCELLED:
        return "Processing was cancelled."
    message = (file.job.error or {}).get("message")
    return str(message) if message else "Processing failed."


def why_missing(file: MediaFile, name: str, *, otherwise: str) -> str:
    """What to tell somebody who asks for a rendition that is not there.

    Args:
        file: whose job is loaded.
        name: of the rendition.
        otherwise: why a file that was processed has none, where its notes do not speak of it.
    """
    state = of(file)
    if state is MediaState.READY:
        notes = [note for note in (file.note or "").split("\n") if name in note]
        return f"This file has no {name}. {' '.join(notes) or otherwise}"
    if state is MediaState.FAILED:
        return f"This file has no {name}. {error_of(file)}"
    job_state = file.job.state if file.job else "unknown"
    return f"The {name} is not there yet: its job is {job_state}. Try again shortly."
