"""The shape of sound: its loudest and its lowest samples over time, as players draw it.

The JSON is that of BBC audiowaveform, version 2, which peaks.js and wavesurfer.js read:
``data`` has a minimum and a maximum (-128 to 127) for each ``samples_per_pixel`` samples of one channel.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from app.services.media.probe import Probe, UnreadableError, input_options
from app.services.media.run import THREADS, ToolFailedError, ToolLimitError, run_tool
from app.services.media.types import Kind
from app.services.media.work import Work, judged, missing_decoder

MIME: Final = "application/json"

RATE: Final = 16_000
"""Samples of a second that are looked at."""

MOST: Final = 2048
"""Pixels at most, an even number; at least half as many of sound that is longer than eight seconds."""

_FINEST: Final = 64
"""Samples of a pixel of short sound."""

_ZERO: Final = 128
"""Silence as an unsigned byte."""


class Peaks:
    """Minima and maxima of sound of any length, in memory of one size."""

    def __init__(self) -> None:
        self.heard = 0
        self._samples_per_pixel = _FINEST
        self._peaks: list[tuple[int, int]] = []
        self._rest = b""

    def add(self, chunk: bytes) -> None:
        """Take the next samples, unsigned bytes."""
        self.heard += len(chunk)
        data, place = self._rest + chunk, 0
        while len(data) - place >= self._samples_per_pixel:
            part = data[place : place + self._samples_per_pixel]
            self._peaks.append((min(part), max(part)))
            place += self._samples_per_pixel
            if len(self._peaks) == MOST:
                self._halve()
        self._rest = data[place:]

    def document(self) -> bytes:
        """The JSON."""
        peaks = [*self._peaks, *([(min(self._rest), max(self._rest))] if self._rest else [])]
        return json.dumps(
            {
                "version": 2,
                "channels": 1,
                "sample_rate": RATE,
                "samples_per_pixel": self._samples_per_pixel,
                "bits": 8,
                "length": len(peaks),
                "data": [sample - _ZERO for pair in peaks for sample in pair],
            },
            separators=(",", ":"),
        ).encode()

    def _halve(self) -> None:
        """Make one pixel of each two."""
        self._peaks = [
            (min(low, other_low), max(high, other_high))
            for (low, high), (other_low, other_high) in zip(self._peaks[::2], self._peaks[1::2], strict=True)
        ]
        self._samples_per_pixel *= 2


async def make(
    work: Work, ffmpeg: Path, probe: Probe, tell: Callable[[float], Awaitable[object]]
) -> tuple[bytes, str | None]:
    """The waveform's JSON (empty: none), and why there is none where one was due.

    Raises:
        UnreadableError: it is sound alone, and none of it can be heard.
        ToolHinderedError: something else was in the way.
    """
    if probe.sound is None:
        return b"", None
    peaks = Peaks()

    async def hear(chunk: bytes) -> None:
        peaks.add(chunk)
        if probe.duration:
            await tell(peaks.heard / RATE / probe.duration)

    limits = work.bench.limits()
    try:
        await run_tool(
            ffmpeg, arguments(work, probe), folder=work.folder, reads=work.file, limits=limits, hear=hear
        )
        if peaks.heard:
            return peaks.document(), None
        raise ToolFailedError("no sound was found")
    except ToolFailedError as error:
        return b"", _note(work, probe, error)


def _note(work: Work, probe: Probe, error: ToolFailedError) -> str:
    if missing_decoder(error):
        due = "waveform or preview" if probe.kind is Kind.AUDIO else "waveform"
        return f"There is no {due}: the installed ffmpeg cannot decode this kind of sound."
    if isinstance(error, ToolLimitError):
        return f"There is no waveform, for {error}."
    verdict = judged(work, error)
    if probe.kind is Kind.AUDIO or not isinstance(verdict, UnreadableError):
        raise verdict from error
    return "There is no waveform: the sound cannot be read."


def arguments(work: Work, probe: Probe) -> list[str]:
    """Arguments of ffmpeg, which writes the samples of one channel to its standard output."""
    return [
        *("-hide_banner", "-nostdin", "-v", "error", "-threads", str(THREADS)),
        *input_options(work.media_type),
        *("-i", f"file:{work.file.path}", "-map", f"0:{probe.sound}", "-vn", "-sn", "-dn"),
        *("-ac", "1", "-ar", str(RATE), "-c:a", "pcm_u8", "-f", "u8", "pipe:1"),
    ]
