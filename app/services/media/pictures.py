"""Pictures: read and drawn by Pillow, in a process of its own behind the same walls as ffmpeg."""

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from app.services.media.probe import Probe, UnreadableError
from app.services.media.run import Limits, OpenFile, ToolFailedError, ToolHinderedError, run_tool
from app.services.media.stills import LARGE_NAME, PICTURE, SMALL, Stills
from app.services.media.tools import ToolMissingError
from app.services.media.types import Kind, MediaType

READER: Final = Path(__file__).with_name("picture_reader.py")

FORMATS: Final = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
}
"""Pillow's name of each type that it reads; it is given that one and no other."""

MAXIMUM_PIXELS: Final = 100_000_000
"""Pixels of one picture; a larger one is refused before memory is taken for it."""

_FACTS: Final = ("mode", "width", "height", "orientation", "frames")


class NoDecoderError(Exception):
    """The Pillow at hand was built without what this type of picture needs."""


async def read(
    file: OpenFile, media_type: MediaType, *, folder: Path, limits: Limits
) -> tuple[Probe, Stills]:
    """What a picture holds, and its two JPEGs.

    Args:
        file: the picture.
        media_type: one of ``FORMATS``.
        folder: the private folder of the reader, where the large JPEG will be.
        limits: of the reader.

    Raises:
        UnreadableError: it is too large; the message is for its owner.
        NoDecoderError: another tool must be tried.
        ToolFailedError: it is damaged or went over a limit.
        ToolMissingError: Pillow or Python cannot be started.
        ToolHinderedError: the system was in the way.
    """
    program, libraries = _interpreter(), _libraries()
    read_as = [str(file.path), FORMATS[media_type.mime], str(MAXIMUM_PIXELS)]
    large = folder / LARGE_NAME
    options = [*read_as, str(SMALL), str(PICTURE), str(large)]
    try:
        output = await run_tool(
            program,
            ["-I", "-S", "-B", str(READER), str(libraries), *options],
            folder=folder,
            reads=file,
            libraries=[READER, libraries],
            limits=limits,
        )
    except ToolFailedError as error:
        raise _fault(error) from error
    line, _, picture = output.partition(b"\n")
    return _probe(json.loads(line)), Stills(picture, large)


def _fault(error: ToolFailedError) -> Exception:
    """A traceback is never the picture's fault; where nothing is missing, another attempt may go well."""
    if "Traceback" not in error.errors:
        return error
    last = error.errors.splitlines()[-1]
    if last.startswith(("ImportError", "ModuleNotFoundError")):
        return ToolMissingError(f"Pillow cannot be used: {last}")
    return ToolHinderedError(f"Pillow was hindered: {last}")


def _interpreter() -> Path:
    # Not the link in a virtual environment: what it loads itself from lies beside the real one.
    return Path(sys.executable).resolve()


def _libraries() -> Path:
    """The folder that Pillow is installed in."""
    spec = find_spec("PIL")
    if spec is None or spec.origin is None:
        raise ToolMissingError("Pillow is not installed: install the packages of requirements.txt.")
    return Path(spec.origin).parent.parent


def _probe(answer: Mapping[str, Any]) -> Probe:
    if "problem" in answer:
        raise _problem(answer)
    return Probe(
        kind=Kind.IMAGE,
        width=answer["width"],
        height=answer["height"],
        duration=None,
        picture=0,
        facts={
            "format": {"format_name": answer["format"]},
            "picture": {name: answer[name] for name in _FACTS},
        },
    )


def _problem(answer: Mapping[str, Any]) -> Exception:
    match answer["problem"]:
        case "large":
            most = MAXIMUM_PIXELS // 1_000_000
            return UnreadableError(f"The picture has more than {most} million pixels, the most that is read.")
        case "memory":
            return UnreadableError("Reading the file was given up: it needs too much memory.")
        case "decoder":
            return NoDecoderError()
        case "system":
            return ToolHinderedError(f"Pillow was hindered: {answer['said']}")
    return ToolFailedError(str(answer["said"]).replace("\0", ""))
