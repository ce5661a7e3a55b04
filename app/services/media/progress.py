"""How far ffmpeg is, as it tells itself (its option ``-progress``)."""

from collections.abc import Awaitable, Callable
from typing import Final

OPTIONS: Final = ("-progress", "pipe:1", "-nostats")

_TIME: Final = b"out_time_us="
_LONGEST_LINE: Final = 4096


class Progress:
    """Hears ffmpeg's lines and tells the share of the whole that is done.

    Args:
        seconds: the length of the whole; where it is not known nothing is told.
        tell: is told a share, which may be more than 1: what a file says of its length may be a lie.
    """

    def __init__(self, seconds: float | None, tell: Callable[[float], Awaitable[object]]) -> None:
        self._seconds = seconds
        self._tell = tell
        self._rest = b""

    async def __call__(self, chunk: bytes) -> None:
        """Take the next bytes."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        times = [line.removeprefix(_TIME).strip() for line in lines if line.startswith(_TIME)]
        # Before the first frame it is N/A, and with odd timestamps below zero.
        if self._seconds and times and times[-1].isdigit():
            await self._tell(int(times[-1]) / 1_000_000 / self._seconds)
