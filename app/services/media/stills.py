"""JPEG pictures of a file: a small one to find it by, and a large one to look at."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from app.services.media.probe import Probe, UnreadableError, input_options
from app.services.media.run import THREADS, ToolFailedError, ToolLimitError, run_tool
from app.services.media.types import Kind, MediaType
from app.services.media.work import Work, judged, missing_decoder

SMALL: Final = 480
"""Pixels of the longest side of a thumbnail. A smaller picture keeps its size."""

POSTER: Final = 1280
"""Pixels of the longest side of a poster."""

PICTURE: Final = 1600
"""Pixels of the longest side of a picture's preview."""

OUTPUT_LIMIT: Final = 4 * 1024 * 1024
LARGE_LIMIT: Final = 16 * 1024 * 1024

MIME: Final = "image/jpeg"

LARGE_NAME: Final = "large.jpg"

_POSITION: Final = 0.1
"""Where in a video the frame is taken: beyond the black that many begin with."""

# What is transparent is shown on white.
_ON_WHITE: Final = (
    ",format=rgba,split[back][front];[back]drawbox=color=white:replace=1:t=fill[white];"
    "[white][front]overlay=format=auto"
)

_JPEG: Final = ",format=yuvj420p"


@dataclass(frozen=True, slots=True)
class Stills:
    """The small picture's bytes (empty: none), the large one's file, and why there is none that was due."""

    small: bytes = b""
    large: Path | None = None
    note: str | None = None


async def make(work: Work, ffmpeg: Path, probe: Probe) -> Stills:
    """Take a frame of the file by ffmpeg.

    Raises:
        UnreadableError: there is no frame in it that can be read.
        ToolHinderedError: something else was in the way.
    """
    if probe.picture is None:
        return Stills()
    large = work.folder / LARGE_NAME
    limits = work.bench.limits(OUTPUT_LIMIT, file_size=LARGE_LIMIT)
    run = partial(run_tool, ffmpeg, folder=work.folder, reads=work.file, limits=limits)
    failure = ToolFailedError("no frame was found")
    for at in positions(probe):
        try:
            if small := await run(arguments(work.file.path, work.media_type, probe, at=at)):
                return Stills(small, large)
        except ToolLimitError as error:
            failure = error
            break
        except ToolFailedError as error:
            failure = error
    return _without(work, probe, failure)


def _without(work: Work, probe: Probe, failure: ToolFailedError) -> Stills:
    if missing_decoder(failure):
        due = {
            Kind.IMAGE: "thumbnail or preview",
            Kind.VIDEO: "thumbnail, poster or preview",
            Kind.AUDIO: "thumbnail or poster",
        }
        why = "the installed ffmpeg cannot decode this kind of picture"
        return Stills(note=f"There is no {due[probe.kind]}: {why}.")
    verdict = judged(work, failure)
    if probe.kind is Kind.AUDIO and isinstance(verdict, UnreadableError):
        return Stills(note="There is no thumbnail or poster: the cover picture cannot be read.")
    raise verdict from failure


def arguments(path: Path, media_type: MediaType, probe: Probe, *, at: float) -> list[str]:
    """Arguments of ffmpeg, which writes the small JPEG to its standard output and the large one to a file.

    Args:
        path: the file.
        media_type: what its first bytes said.
        probe: what ffprobe said.
        at: seconds from the beginning.
    """
    seek = ["-ss", f"{at:.3f}"] if at > 0 else []
    side = PICTURE if probe.kind is Kind.IMAGE else POSTER
    return [
        *("-hide_banner", "-nostdin", "-v", "error", "-y", "-threads", str(THREADS)),
        *input_options(media_type),
        *(*seek, "-i", f"file:{path}"),
        *_drawn(probe, SMALL, "pipe:1"),
        *_drawn(probe, side, f"file:{LARGE_NAME}"),
    ]


def _drawn(probe: Probe, side: int, target: str) -> list[str]:
    # Of a picture ffmpeg chooses itself: some are made of tiles, each of them a stream.
    chosen = [] if probe.kind is Kind.IMAGE else ["-map", f"0:{probe.picture}"]
    filters = scaled(side) + (_ON_WHITE if probe.kind is Kind.IMAGE else "") + _JPEG
    return [
        *(*chosen, "-frames:v", "1", "-an", "-sn", "-dn", "-map_metadata", "-1"),
        *("-vf", filters, "-c:v", "mjpeg", "-q:v", "4", "-threads", "1", "-f", "mjpeg", target),
    ]


def scaled(side: int, *, multiple: int = 1, options: str = "") -> str:
    """ffmpeg's filters that cut the longer side down to so many pixels, and make pixels square.

    ffmpeg has turned the frame by its orientation before this.

    Args:
        side: pixels.
        multiple: of which width and height shall be one.
        options: more of the filter ``scale``.
    """
    long_width, long_height = f"min({side},iw*sar)", f"min({side},ih)"
    width = f"if(gte(dar,1),{long_width},{long_height}*dar)"
    height = f"if(gte(dar,1),{long_width}/dar,{long_height})"
    if multiple > 1:
        width, height = (f"round({length}/{multiple})*{multiple}" for length in (width, height))
    return f"scale=w='max({multiple},{width})':h='max({multiple},{height})':flags=bicubic{options},setsar=1"


def positions(probe: Probe) -> list[float]:
    """Seconds to take the frame at, best first; the beginning is tried last, for seeking may find nothing."""
    if probe.kind is Kind.VIDEO and probe.duration:
        return [probe.duration * _POSITION, 0.0]
    return [0.0]
