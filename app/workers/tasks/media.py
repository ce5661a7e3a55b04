"""Jobs on media files."""

import logging
import time
import uuid
from functools import partial
from typing import Any, Final

from celery import signals
from pydantic import BaseModel, ConfigDict, Field

from app.core.config import AppSettings
from app.core.config.groups import MediaSettings
from app.schemas.storage import StorageReport
from app.services.jobs import JobFailed, RunningJob, job
from app.services.media import deletion, intake, results, usage
from app.services.media.probe import UnreadableError
from app.services.media.process import Bench, Outcome, Report, process
from app.services.media.reconciliation import AGE, reconcile, slice_of
from app.services.media.resumable.pruning import remove_orphans
from app.services.media.strays import remove_unreferenced, secure
from app.services.media.tools import ToolMissingError, find_tools
from app.services.media.walls import missing_walls
from app.services.schedules import Schedule, add_schedule
from app.services.workspace import Workspace

DISCARD_ATTEMPTS: Final = 100
"""Over most of a day; the daily sweep removes what is left."""

NOT_SET_UP: Final = "Media processing is not set up on this server."

PREVIEW_SHARE: Final = 0.6
"""Of the job's soft limit, what making the preview may take."""

_log = logging.getLogger(__name__)


@signals.worker_ready.connect  # type: ignore[untyped-decorator]  # Celery has no types
def tell_missing_walls(**_kwargs: object) -> None:
    """Say once a worker what the kernel does not do for it."""
    if missing := missing_walls():
        _log.warning("media_walls_missing", extra={"missing": list(missing)})


class MediaArgs(BaseModel):
    """The file to process."""

    model_config = ConfigDict(extra="forbid")

    media_id: uuid.UUID


@job(intake.PROCESS, MediaArgs, queue="media")
async def process_media(job: RunningJob, args: MediaArgs) -> dict[str, Any]:
    """Probe an uploaded file and make its thumbnail, poster, preview and waveform."""
    async with job.reading() as session:
        source = await results.source(session, args.media_id)
    if source is None:
        raise JobFailed("The file was deleted before it could be processed.", code="media_deleted")
    await job.log(f"Reading the file as {source.media_type.mime}.")
    media = _in_time(job.settings)
    workspace = Workspace.from_settings(job.settings)
    bench = Bench(workspace, partial(find_tools, media), media)

    async def save(made: Outcome) -> None:
        async with job.writing() as session:
            await secure(session, workspace, *results.objects(made))
            await results.save(session, args.media_id, made)

    try:
        outcome = await process(bench, source.key, source.media_type, _telling(job), save)
    except UnreadableError as error:
        raise JobFailed(str(error), code="media_unreadable") from error
    except ToolMissingError as error:
        # For the operator; its owner can do nothing with paths of the server.
        _log.error("media_tool_missing", extra={"error": str(error)})
        raise JobFailed(NOT_SET_UP, code="media_not_set_up") from error
    for note in outcome.notes:
        await job.log(note, level="warning")
    await secure(job.session, workspace, *results.objects(outcome))
    await results.record(job.session, args.media_id, outcome)
    return {
        "media_id": str(args.media_id),
        "kind": outcome.probe.kind,
        "thumbnail": outcome.thumbnail_key is not None,
        "poster": outcome.poster_key is not None,
        "preview": outcome.preview_type,
        "waveform": outcome.waveform_key is not None,
    }


def _telling(job: RunningJob) -> Report:
    """Reports progress, and each new step to the owner as well."""
    steps: set[str] = set()

    async def report(share: float, word: str) -> None:
        await job.progress(share, word)
        if word not in steps:
            steps.add(word)
            await job.log(f"Step: {word}.")

    return report


def _in_time(settings: AppSettings) -> MediaSettings:
    """The settings, with a preview that leaves time for the rest of the job."""
    longest = settings.celery.soft_time_limit * PREVIEW_SHARE
    media = settings.media
    return media.model_copy(update={"preview_timeout": min(media.preview_timeout, longest)})


class DiscardArgs(BaseModel):
    """The objects of a file that was deleted."""

    model_config = ConfigDict(extra="forbid")

    keys: list[str] = Field(max_length=32)


@job(deletion.DISCARD, DiscardArgs, queue="maintenance", max_attempts=DISCARD_ATTEMPTS)
async def discard_objects(job: RunningJob, args: DiscardArgs) -> dict[str, int]:
    """Remove those of the objects that no row refers to any more. May be repeated."""
    workspace = Workspace.from_settings(job.settings)
    return {"removed": await remove_unreferenced(job.session, workspace, args.keys)}


class SweepArgs(BaseModel):
    """Which contents to hash."""

    model_config = ConfigDict(extra="forbid")

    verify: str | None = Field(
        None, pattern="^[0-9a-f]*$", description="The beginning of their keys; another each day if not given."
    )


@job(usage.SWEEP, SweepArgs, queue="maintenance", max_attempts=3)
async def sweep_media(job: RunningJob, args: SweepArgs) -> StorageReport:
    """Hold objects against rows: remove what no row refers to, tell what is lost or damaged."""
    workspace = Workspace.from_settings(job.settings)
    orphans = await remove_orphans(workspace, job.reading, age=AGE)
    verify = slice_of(time.time()) if args.verify is None else args.verify
    report = await reconcile(workspace, job.reading, progress=job.progress, verify=verify)
    report.leftovers += orphans
    return report


SWEEPING: Final = add_schedule(Schedule("media.sweep", every=86400.0, job=usage.SWEEP))
