"""A light copy of a file that every browser plays: H.264 and AAC in MP4, or AAC alone.

It is made in two runs of ffmpeg. The first encodes into fragments, which can be read up to wherever it had
to stop; so a film that takes too long or grows too large has a preview of its beginning, and no work is lost.
The second only moves the index to the front, so that it plays before all of it has come.
"""

import math
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio.to_thread

from app.services.media.made import made
from app.services.media.probe import Probe, UnreadableError, input_options
from app.services.media.progress import OPTIONS, Progress
from app.services.media.run import THREADS, ToolFailedError, ToolLimitError, inherited, run_tool
from app.services.media.stills import scaled
from app.services.media.tools import encoders
from app.services.media.types import MEDIA_TYPES, Kind
from app.services.media.work import Work, judged, missing_decoder

SIDE: Final = 1280
"""Pixels of the longest side. A smaller video keeps its size."""

FASTEST: Final = 60
"""Frames of a second at most."""

MIMES: Final = {Kind.VIDEO: "video/mp4", Kind.AUDIO: "audio/mp4"}

_ENCODED, _FINISHED = "encoded.mp4", "preview.mp4"

_INDEX: Final = 64 * 1024 * 1024
"""Bytes by which the second run may make it longer."""

_SPAN: Final = 0.95
"""The share of the work that is the first run's."""

_QUALITY: Final[Mapping[str, tuple[str, ...]]] = {
    "libx264": ("-preset", "veryfast", "-crf", "24", "-profile:v", "high"),
    "libopenh264": ("-b:v", "1500k"),
}
_RATE: Final = ("-maxrate", "2500k", "-bufsize", "5M", "-g", "120", "-threads", str(THREADS))

_SOUND: Final = (
    *("-af", "aformat=channel_layouts=mono|stereo:sample_rates=44100|48000"),
    *("-b:a", "128k"),
)


@dataclass(frozen=True, slots=True)
class Preview:
    """The file (None: there is none), and what there is to say of it."""

    path: Path | None = None
    note: str | None = None


async def make(work: Work, ffmpeg: Path, probe: Probe, tell: Callable[[float], Awaitable[object]]) -> Preview:
    """Make the preview of a video or of sound.

    A file that was read so far is sound enough to keep: what goes wrong here is told in a note.

    Raises:
        ToolMissingError: ffmpeg does not answer.
        ToolHinderedError: something else than the file was in the way.
        InsufficientStorageException: there is no room for it.
        UnreadableError: it led ffmpeg astray.
        OSError: the system was in the way.
    """
    chosen = await anyio.to_thread.run_sync(encoders, ffmpeg)
    if missing := [name for name in _needed(probe) if name not in chosen]:
        return Preview(
            None, f"There is no preview: the installed ffmpeg cannot write {' and '.join(missing)}."
        )
    try:
        early = await _encode(work, ffmpeg, arguments(work, probe, chosen), _heard(probe, tell))
        path = await _finish(work, ffmpeg)
    except ToolFailedError as error:
        return Preview(None, _why_none(work, error))
    return Preview(path, f"The preview ends early, for {early}." if early else None)


def _needed(probe: Probe) -> list[str]:
    video = ["H.264"] if probe.kind is Kind.VIDEO else []
    return video + (["AAC"] if probe.sound is not None else [])


def _heard(probe: Probe, tell: Callable[[float], Awaitable[object]]) -> Progress:
    async def tell_part(share: float) -> None:
        await tell(min(share, 1.0) * _SPAN)

    return Progress(probe.duration, tell_part)


async def _encode(work: Work, ffmpeg: Path, options: list[str], hear: Progress) -> str | None:
    """Why it had to stop before the end of the file, None where it did not."""
    settings = work.bench.settings
    # It stands there twice for a moment; what must stay free is for the data servers too.
    size = min(settings.preview_size, await anyio.to_thread.run_sync(_size, work.file.descriptor))
    await anyio.to_thread.run_sync(work.bench.workspace.require_room, 2 * size)
    limits = work.bench.limits(file_size=settings.preview_size, seconds=settings.preview_timeout)
    # Decoder, filters and encoder each have threads of their own.
    limits = replace(limits, threads=3 * THREADS)
    try:
        await run_tool(ffmpeg, options, folder=work.folder, reads=work.file, limits=limits, hear=hear)
    except ToolLimitError as error:
        return str(error)
    return None


def _size(descriptor: int) -> int:
    return os.fstat(descriptor).st_size


async def _finish(work: Work, ffmpeg: Path) -> Path:
    settings = work.bench.settings
    encoded, finished = work.folder / _ENCODED, work.folder / _FINISHED
    options = [
        *("-hide_banner", "-nostdin", "-v", "error", "-y"),
        *input_options(MEDIA_TYPES["video/mp4"]),
        *("-i", f"file:{encoded}", "-map", "0", "-c", "copy", "-map_metadata", "-1"),
        *("-movflags", "+faststart", "-f", "mp4", f"file:{_FINISHED}"),
    ]
    limits = work.bench.limits(file_size=settings.preview_size + _INDEX)
    with made(encoded, otherwise="it could not be begun in time") as file:
        reads = inherited(file.fileno(), encoded)
        await run_tool(ffmpeg, options, folder=work.folder, reads=reads, limits=limits)
    encoded.unlink()
    return finished


def _why_none(work: Work, error: ToolFailedError) -> str:
    if missing_decoder(error):
        return "There is no preview: the installed ffmpeg cannot decode what is in this file."
    verdict = judged(work, error)
    if not isinstance(verdict, UnreadableError):
        raise verdict from error
    return f"There is no preview. {verdict}"


def arguments(work: Work, probe: Probe, chosen: Mapping[str, str]) -> list[str]:
    """Arguments of ffmpeg's first run.

    Args:
        work: the file.
        probe: what ffprobe said.
        chosen: encoders by what they write.
    """
    video = _video(probe, chosen["H.264"]) if probe.kind is Kind.VIDEO else ["-vn"]
    sound = ["-an"] if probe.sound is None else ["-map", f"0:{probe.sound}", "-c:a", chosen["AAC"], *_SOUND]
    return [
        *("-hide_banner", "-nostdin", "-v", "error", "-y", "-threads", str(THREADS)),
        *("-filter_threads", str(THREADS), *input_options(work.media_type)),
        *("-i", f"file:{work.file.path}", *video, *sound, "-sn", "-dn"),
        # What a camera writes into a film may tell of people and places.
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "5000000"),
        *(*OPTIONS, "-f", "mp4", f"file:{_ENCODED}"),
    ]


def _video(probe: Probe, encoder: str) -> list[str]:
    slower = f"framestep={step}," if (step := _step(probe)) > 1 else ""
    filters = f"{slower}{scaled(SIDE, multiple=2, options=':out_range=tv')},format=yuv420p"
    # Frames keep their times: a gap that a file lies about is not filled with copies.
    timed = ("-fps_mode", "vfr")
    return [
        *("-map", f"0:{probe.picture}", "-vf", filters, *timed),
        *("-c:v", encoder, *_QUALITY[encoder], *_RATE),
    ]


def _step(probe: Probe) -> int:
    """Of how many frames one is kept."""
    streams = probe.facts.get("streams", [])
    rate = next((each.get("avg_frame_rate") for each in streams if each.get("index") == probe.picture), None)
    try:
        frames, seconds = (int(part) for part in str(rate).split("/"))
        return max(1, min(16, math.ceil(frames / seconds / FASTEST - 0.05)))
    except (ValueError, ZeroDivisionError):
        return 1
