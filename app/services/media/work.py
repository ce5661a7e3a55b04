"""One file on the bench: what its processing needs, and whose fault a failure is."""

import errno
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.core.config.groups import MediaSettings
from app.services.media.probe import UnreadableError
from app.services.media.run import Limits, OpenFile, ToolFailedError, ToolHinderedError, ToolLimitError
from app.services.media.tools import MediaTools
from app.services.media.types import MediaType
from app.services.workspace import Workspace

Report = Callable[[float, str], Awaitable[object]]

_NOT_ITS_FAULT: Final = tuple(
    os.strerror(number)
    for number in (
        *(errno.EACCES, errno.ENOENT, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ESTALE),
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    )
)
"""Last words of a tool that the system let read nothing, or write nothing."""

# What an ffmpeg says that was built without the decoder; the file itself may be sound.
_NO_DECODER: Final = (
    "no decoder found",
    "Decoder not found",
    "not found for input stream",
    "not on whitelist",
    "support hardware accelerated",
    "skipping unsupported chunk: ANIM",
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What processing needs of its surroundings.

    ``find_tools`` finds ffmpeg and ffprobe; most pictures need neither.
    """

    workspace: Workspace
    find_tools: Callable[[], MediaTools]
    settings: MediaSettings

    def limits(self, output: int = 0, *, file_size: int = 0, seconds: float | None = None) -> Limits:
        """The limits of one run of a tool.

        Args:
            output: bytes that it may answer with.
            file_size: bytes of each file that it may write.
            seconds: that it may take; MEDIA_TOOL_TIMEOUT where it is not given.
        """
        return Limits(
            seconds=self.settings.tool_timeout if seconds is None else seconds,
            memory=self.settings.tool_memory,
            output=output,
            file_size=file_size,
        )


@dataclass(frozen=True, slots=True)
class Work:
    """One file on the bench: held open, what its first bytes said, and the folder to work in."""

    bench: Bench
    file: OpenFile
    media_type: MediaType
    folder: Path


def part_of(report: Report, start: float, end: float, word: str) -> Callable[[float], Awaitable[object]]:
    """Tell how far one step is (0 to 1) as a part of the whole."""

    async def tell(share: float) -> None:
        await report(start + (end - start) * min(max(share, 0.0), 1.0), word)

    return tell


def missing_decoder(error: ToolFailedError) -> bool:
    """Whether this ffmpeg merely lacks what the file needs."""
    return any(sign in error.errors for sign in _NO_DECODER)


def judged(work: Work, error: ToolFailedError) -> UnreadableError | ToolHinderedError:
    """Whether it is the file's fault that a tool failed; what it is not may go well next time."""
    if str(error).endswith(_NOT_ITS_FAULT):
        return ToolHinderedError(str(error))
    return UnreadableError(_reason(work, error))


def _reason(work: Work, error: ToolFailedError) -> str:
    if isinstance(error, ToolLimitError):
        return f"Reading the file was given up: {error}."
    path = str(work.file.path)
    said = str(error).replace(f"file:{path}", "the file").replace(path, "the file")[:300]
    return f"The file cannot be read as {work.media_type.mime}; it is damaged or not what it seems ({said})."
