"""From a stored file to what is known of it: Pillow for pictures, ffprobe and ffmpeg for all else."""

import errno
import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from app.core.config.groups import MediaSettings
from app.services.media import pictures, thumbnail
from app.services.media import probe as probing
from app.services.media.probe import Probe, UnreadableError
from app.services.media.run import (
    Limits,
    OpenFile,
    ToolFailedError,
    ToolHinderedError,
    ToolLimitError,
    held_open,
    run_tool,
)
from app.services.media.tools import MediaTools
from app.services.media.types import Kind, MediaType
from app.services.workspace import Workspace
from app.services.workspace.incoming import HEAD

Report = Callable[[float, str], Awaitable[object]]

_EMPTY: Final = b""

_SHUT: Final = tuple(
    os.strerror(number)
    for number in (errno.EACCES, errno.ENOENT, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ESTALE)
)
"""Last words of a tool that the system let read nothing."""

Made = tuple[Probe, bytes, str | None]
"""What a file holds, its thumbnail (empty: none), and why there is none where one was due."""


class StoredFileError(Exception):
    """The storage gives back another content than it was given; the next upload of that content mends it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What processing found and made.

    ``thumbnail_key`` is the object of the thumbnail; ``note`` says why there is none where one was due.
    """

    probe: Probe
    thumbnail_key: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Bench:
    """What processing needs of its surroundings.

    ``find_tools`` finds ffmpeg and ffprobe; most pictures need neither.
    """

    workspace: Workspace
    find_tools: Callable[[], MediaTools]
    settings: MediaSettings

    def limits(self, output: int) -> Limits:
        """The limits of one run of a tool that may answer with this many bytes."""
        return Limits(seconds=self.settings.tool_timeout, memory=self.settings.tool_memory, output=output)


async def process(bench: Bench, key: str, media_type: MediaType, report: Report) -> Outcome:
    """Probe a stored file and make its thumbnail. Running it again gives the same.

    Args:
        bench: workspace, tools and limits.
        key: the object.
        media_type: what its first bytes said.
        report: is told how far it is (0 to 1) and what comes next.

    Raises:
        UnreadableError: the file is broken or hostile; the message is for its owner.
        ToolMissingError: there is no such tool.
        ToolHinderedError: something else than the file kept a tool from its work.
        StoredFileError: the stored file is no longer what was accepted.
        InsufficientStorageException: the workspace takes no file.
        OSError: the stored file cannot be read.
    """
    # Absolute, for the tools work in a folder of their own.
    path = bench.workspace.path(key).absolute()
    with held_open(path) as file, bench.workspace.work_folder() as folder:
        await report(0.1, "probe")
        work = Work(bench, file, media_type, folder.absolute())
        try:
            found, picture, note = await _made(work, report)
        except UnreadableError:
            await anyio.to_thread.run_sync(_require_intact, file, key, abandon_on_cancel=True)
            raise
        stored = await bench.workspace.keep(picture) if picture else None
    return Outcome(found, stored.key if stored else None, note)


@dataclass(frozen=True, slots=True)
class Work:
    """One file on the bench: held open, what its first bytes said, and the folder to work in."""

    bench: Bench
    file: OpenFile
    media_type: MediaType
    folder: Path


async def _made(work: Work, report: Report) -> Made:
    """By the one reader of its type, or by the tools, which know many."""
    if work.media_type.mime in pictures.FORMATS:
        limits = work.bench.limits(pictures.OUTPUT_LIMIT)
        try:
            found, picture = await pictures.read(
                work.file, work.media_type, folder=work.folder, limits=limits
            )
        except pictures.NoDecoderError:
            pass
        except ToolFailedError as error:
            raise _judged(work, error) from error
        else:
            return found, picture, None
    tools = work.bench.find_tools()
    found = await _probe(work, tools.ffprobe)
    await report(0.5, "thumbnail")
    return found, *await _thumbnail(work, tools.ffmpeg, found)


async def _probe(work: Work, ffprobe: Path) -> Probe:
    head = await anyio.to_thread.run_sync(_head, work.file.path)
    options = probing.arguments(work.file.path, work.media_type)
    limits = work.bench.limits(probing.OUTPUT_LIMIT)
    try:
        output = await run_tool(ffprobe, options, folder=work.folder, reads=work.file, limits=limits)
    except ToolFailedError as error:
        raise _judged(work, error) from error
    return probing.parse(output, work.media_type, head)


async def _thumbnail(work: Work, ffmpeg: Path, probe: Probe) -> tuple[bytes, str | None]:
    if probe.picture is None:
        return _EMPTY, None
    limits = work.bench.limits(thumbnail.OUTPUT_LIMIT)
    run = partial(run_tool, ffmpeg, folder=work.folder, reads=work.file, limits=limits)
    failure = ToolFailedError("no frame was found")
    for at in thumbnail.positions(probe):
        try:
            if picture := await run(thumbnail.arguments(work.file.path, work.media_type, probe, at=at)):
                return picture, None
        except ToolLimitError as error:
            failure = error
            break
        except ToolFailedError as error:
            failure = error
    if thumbnail.missing_decoder(failure):
        return _EMPTY, "The installed ffmpeg cannot decode this kind of picture."
    judged = _judged(work, failure)
    if probe.kind is Kind.AUDIO and isinstance(judged, UnreadableError):
        return _EMPTY, "The cover picture cannot be read."
    raise judged from failure


def _judged(work: Work, error: ToolFailedError) -> UnreadableError | ToolHinderedError:
    """Whether it is the file's fault that a tool failed; what it is not may go well next time."""
    if str(error).endswith(_SHUT):
        return ToolHinderedError(str(error))
    return UnreadableError(_reason(work, error))


def _reason(work: Work, error: ToolFailedError) -> str:
    if isinstance(error, ToolLimitError):
        return f"Reading the file was given up: {error}."
    path = str(work.file.path)
    said = str(error).replace(f"file:{path}", "the file").replace(path, "the file")[:300]
    return f"The file cannot be read as {work.media_type.mime}; it is damaged or not what it seems ({said})."


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
