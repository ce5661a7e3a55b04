"""Jobs on media files."""

import logging
import uuid
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from app.services.jobs import JobFailed, RunningJob, job
from app.services.media import intake, results
from app.services.media.probe import UnreadableError
from app.services.media.process import Bench, Report, process
from app.services.media.resumable.pruning import remove_orphans
from app.services.media.strays import AGE, remove_strays
from app.services.media.tools import ToolMissingError, find_tools
from app.services.schedules import Schedule, add_schedule
from app.services.workspace import Workspace

NOT_SET_UP: Final = "Media processing is not set up on this server."

_log = logging.getLogger(__name__)


class MediaArgs(BaseModel):
    """The file to process."""

    model_config = ConfigDict(extra="forbid")

    media_id: uuid.UUID


@job(intake.PROCESS, MediaArgs, queue="media")
async def process_media(job: RunningJob, args: MediaArgs) -> dict[str, Any]:
    """Probe an uploaded file and make its thumbnail."""
    async with job.reading() as session:
        source = await results.source(session, args.media_id)
    if source is None:
        raise JobFailed("The file was deleted before it could be processed.", code="media_deleted")
    await job.log(f"Reading the file as {source.media_type.mime}.")
    media = job.settings.media
    bench = Bench(Workspace.from_settings(job.settings), partial(find_tools, media), media)
    try:
        outcome = await process(bench, source.key, source.media_type, _telling(job))
    except UnreadableError as error:
        raise JobFailed(str(error), code="media_unreadable") from error
    except ToolMissingError as error:
        # For the operator; its owner can do nothing with paths of the server.
        _log.error("media_tool_missing", extra={"error": str(error)})
        raise JobFailed(NOT_SET_UP, code="media_not_set_up") from error
    if outcome.note:
        await job.log(outcome.note, level="warning")
    await results.record(job.session, args.media_id, outcome)
    return {
        "media_id": str(args.media_id),
        "kind": outcome.probe.kind,
        "thumbnail": outcome.thumbnail_key is not None,
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


class SweepArgs(BaseModel):
    """Nothing to choose."""

    model_config = ConfigDict(extra="forbid")


@job("media.sweep", SweepArgs, queue="maintenance", max_attempts=3)
async def sweep_media(job: RunningJob, _args: SweepArgs) -> dict[str, int]:
    """Remove files that no row speaks of, and what dead processes left of uploads and work."""
    workspace = Workspace.from_settings(job.settings)
    orphans = await remove_orphans(workspace, job.reading, age=AGE)
    return {"removed": orphans + await remove_strays(workspace, job.reading)}


SWEEPING: Final = add_schedule(Schedule("media.sweep", every=86400.0, job="media.sweep"))
