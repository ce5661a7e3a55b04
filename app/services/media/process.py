"""From a stored file to what is known and made of it: Pillow for pictures, ffprobe and ffmpeg for all else.

What takes long comes last, so that an attempt that something ended has little to do again.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio.to_thread

from app.services.media import pictures, preview, stills, waveform
from app.services.media import probe as probing
from app.services.media.made import made
from app.services.media.probe import Probe, UnreadableError
from app.services.media.run import OpenFile, ToolFailedError, held_open, run_tool
from app.services.media.stills import Stills
from app.services.media.tools import MediaTools
from app.services.media.types import Kind, MediaType
from app.services.media.work import Bench, Report, Work, judged, part_of
from app.services.workspace.incoming import HEAD
from app.services.workspace.objects import Stored

__all__ = ["Bench", "Outcome", "Report", "Save", "StoredFileError", "process"]

PROBE: Final = 0.02
STILLS: Final = 0.04
WAVEFORM: Final = 0.08
PREVIEW: Final = 0.2
END: Final = 0.98
"""Shares of the whole at which the steps begin."""


class StoredFileError(Exception):
    """The storage gives back another content than it was given; the next upload of that content mends it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What processing found and made: objects by their keys.

    ``notes`` say, a sentence each, what is missing where it was due, and why.
    """

    probe: Probe
    thumbnail_key: str | None = None
    poster_key: str | None = None
    preview_key: str | None = None
    preview_type: str | None = None
    waveform_key: str | None = None
    notes: tuple[str, ...] = ()

    def with_note(self, note: str | None) -> "Outcome":
        """The same with one more note, where there is one."""
        return replace(self, notes=(*self.notes, note)) if note else self


Save = Callable[[Outcome], Awaitable[object]]


async def process(
    bench: Bench, key: str, media_type: MediaType, report: Report, save: Save | None = None
) -> Outcome:
    """Probe a stored file and make its renditions. Running it again gives the same.

    Args:
        bench: workspace, tools and limits.
        key: the object.
        media_type: what its first bytes said.
        report: is told how far it is (0 to 1) and what it does.
        save: is given what there is already, before the step that takes long.

    Raises:
        UnreadableError: the file is broken or hostile; the message is for its owner.
        ToolMissingError: there is no such tool.
        ToolHinderedError: something else than the file kept a tool from its work.
        StoredFileError: the stored file is no longer what was accepted.
        InsufficientStorageException: the workspace takes no file.
        ServiceUnavailableException: the bucket does not answer, or does not have the file.
        OSError: the stored file cannot be read.
    """
    async with bench.workspace.local(key) as path:
        with held_open(path) as file, bench.workspace.work_folder() as folder:
            await report(PROBE, "probe")
            work = Work(bench, file, media_type, folder.absolute())
            try:
                return await _picture(work) or await _made(work, report, save)
            except UnreadableError:
                await anyio.to_thread.run_sync(_require_intact, file, key, abandon_on_cancel=True)
                raise


async def _picture(work: Work) -> Outcome | None:
    """By the one reader of its type, None where the tools must do it."""
    if work.media_type.mime not in pictures.FORMATS:
        return None
    limits = work.bench.limits(stills.OUTPUT_LIMIT, file_size=stills.LARGE_LIMIT)
    try:
        found, drawn = await pictures.read(work.file, work.media_type, folder=work.folder, limits=limits)
    except pictures.NoDecoderError:
        return None
    except ToolFailedError as error:
        raise judged(work, error) from error
    return await _with_stills(work, Outcome(found), drawn)


async def _made(work: Work, report: Report, save: Save | None) -> Outcome:
    tools = work.bench.find_tools()
    found = await _probe(work, tools.ffprobe)
    await report(STILLS, "thumbnail")
    outcome = await _with_stills(work, Outcome(found), await stills.make(work, tools.ffmpeg, found))
    if found.kind is Kind.IMAGE:
        return outcome
    outcome = await _with_waveform(work, tools, outcome, report)
    if save is not None:
        await save(outcome)
    if found.kind is Kind.VIDEO and outcome.thumbnail_key is None:
        # The note of the thumbnail says it.
        return outcome
    return await _with_preview(work, tools, outcome, report)


async def _probe(work: Work, ffprobe: Path) -> Probe:
    head = await anyio.to_thread.run_sync(_head, work.file.path)
    options = probing.arguments(work.file.path, work.media_type)
    limits = work.bench.limits(probing.OUTPUT_LIMIT)
    try:
        output = await run_tool(ffprobe, options, folder=work.folder, reads=work.file, limits=limits)
    except ToolFailedError as error:
        raise judged(work, error) from error
    return probing.parse(output, work.media_type, head)


async def _with_stills(work: Work, outcome: Outcome, drawn: Stills) -> Outcome:
    workspace = work.bench.workspace
    outcome = outcome.with_note(drawn.note)
    if not drawn.small or drawn.large is None:
        return outcome
    small, large = await workspace.keep(drawn.small), await _keep(work, drawn.large)
    if outcome.probe.kind is Kind.IMAGE:
        return replace(outcome, thumbnail_key=small.key, preview_key=large.key, preview_type=stills.MIME)
    return replace(outcome, thumbnail_key=small.key, poster_key=large.key)


async def _with_waveform(work: Work, tools: MediaTools, outcome: Outcome, report: Report) -> Outcome:
    tell = part_of(report, WAVEFORM, PREVIEW, "waveform")
    document, note = await waveform.make(work, tools.ffmpeg, outcome.probe, tell)
    if not document:
        return outcome.with_note(note)
    return replace(outcome, waveform_key=(await work.bench.workspace.keep(document)).key)


async def _with_preview(work: Work, tools: MediaTools, outcome: Outcome, report: Report) -> Outcome:
    tell = part_of(report, PREVIEW, END, "preview")
    await tell(0.0)
    light = await preview.make(work, tools.ffmpeg, outcome.probe, tell)
    outcome = outcome.with_note(light.note)
    if light.path is None:
        return outcome
    await report(END, "storage")
    stored = await _keep(work, light.path)
    return replace(outcome, preview_key=stored.key, preview_type=preview.MIMES[outcome.probe.kind])


async def _keep(work: Work, path: Path) -> Stored:
    try:
        with made(path) as file:
            return await work.bench.workspace.keep_file(file)
    except ToolFailedError as error:
        raise judged(work, error) from error


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _require_intact(file: OpenFile, key: str) -> None:
    """Make sure that it is their own file that its owners are told is damaged.

    Raises:
        StoredFileError: it is another.
        OSError: it cannot be read.
    """
    with file.path.open("rb") as stored:
        if hashlib.file_digest(stored, "sha256").hexdigest() != key:
            raise StoredFileError(f"The stored file {key} is damaged.")
