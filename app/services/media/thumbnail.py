"""A small JPEG picture of a file."""

from pathlib import Path
from typing import Final

from app.services.media.probe import Probe, input_options
from app.services.media.run import THREADS, ToolFailedError
from app.services.media.types import Kind, MediaType

LONGEST_SIDE: Final = 480
"""Pixels. A smaller picture keeps its size."""

OUTPUT_LIMIT: Final = 4 * 1024 * 1024

MIME: Final = "image/jpeg"

_POSITION: Final = 0.1
"""Where in a video the frame is taken: beyond the black that many begin with."""

# ffmpeg has turned the frame by its orientation before this. Pixels that are not square are made so.
_LONG_WIDTH: Final = f"min({LONGEST_SIDE},iw*sar)"
_LONG_HEIGHT: Final = f"min({LONGEST_SIDE},ih)"
_SCALE: Final = (
    f"scale=w='max(1,if(gte(dar,1),{_LONG_WIDTH},{_LONG_HEIGHT}*dar))'"
    f":h='max(1,if(gte(dar,1),{_LONG_WIDTH}/dar,{_LONG_HEIGHT}))':flags=bicubic,setsar=1"
)

# What is transparent is shown on white.
_ON_WHITE: Final = (
    ",format=rgba,split[back][front];[back]drawbox=color=white:replace=1:t=fill[white];"
    "[white][front]overlay=format=auto"
)

_JPEG: Final = ",format=yuvj420p"

# What an ffmpeg says that was built without the decoder; the file itself may be sound.
_NO_DECODER: Final = (
    "no decoder found",
    "Decoder not found",
    "not on whitelist",
    "support hardware accelerated",
    "skipping unsupported chunk: ANIM",
)


def arguments(path: Path, media_type: MediaType, probe: Probe, *, at: float) -> list[str]:
    """Arguments of ffmpeg, which writes the JPEG to its standard output.

    Args:
        path: the file.
        media_type: what its first bytes said.
        probe: what ffprobe said.
        at: seconds from the beginning.
    """
    seek = ["-ss", f"{at:.3f}"] if at > 0 else []
    # Of a picture ffmpeg chooses itself: some are made of tiles, each of them a stream.
    chosen = [] if probe.kind is Kind.IMAGE else ["-map", f"0:{probe.picture}"]
    filters = _SCALE + (_ON_WHITE if probe.kind is Kind.IMAGE else "") + _JPEG
    return [
        *("-hide_banner", "-nostdin", "-v", "error", "-threads", str(THREADS)),
        *input_options(media_type),
        *(*seek, "-i", f"file:{path}", *chosen),
        *("-frames:v", "1", "-an", "-sn", "-dn", "-map_metadata", "-1"),
        *("-vf", filters, "-c:v", "mjpeg", "-q:v", "4", "-threads", "1", "-f", "mjpeg", "pipe:1"),
    ]


def positions(probe: Probe) -> list[float]:
    """Seconds to take the frame at, best first; the beginning is tried last, for seeking may find nothing."""
    if probe.kind is Kind.VIDEO and probe.duration:
        return [probe.duration * _POSITION, 0.0]
    return [0.0]


def missing_decoder(error: ToolFailedError) -> bool:
    """Whether this ffmpeg merely lacks what the file needs."""
    return any(sign in error.errors for sign in _NO_DECODER)
