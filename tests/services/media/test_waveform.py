"""The shape of sound."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.services.media import waveform
from app.services.media.process import Bench, Outcome
from app.services.media.run import ToolFailedError, ToolLimitError
from app.services.media.waveform import MOST, RATE, Peaks
from tests.samples import Samples
from tests.services.media.processing import Processed


def shape(peaks: Peaks) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(peaks.document())
    assert document["length"] * 2 == len(document["data"])
    return document


def test_each_pixel_has_its_lowest_and_its_highest_sample() -> None:
    peaks = Peaks()
    peaks.add(bytes([128] * 63 + [255]))
    peaks.add(bytes([0] + [128] * 63 + [130]))
    assert shape(peaks)["data"] == [0, 127, -128, 0, 2, 2]


def test_the_size_of_the_chunks_changes_nothing() -> None:
    sound = bytes(number * number % 251 for number in range(300_000))
    whole, parts = Peaks(), Peaks()
    whole.add(sound)
    for start in range(0, len(sound), 777):
        parts.add(sound[start : start + 777])
    assert whole.document() == parts.document()


@pytest.mark.parametrize("seconds", [0.001, 5, 9, 60, 600])
def test_sound_of_any_length_has_a_bounded_number_of_pixels_of_one_width(seconds: float) -> None:
    peaks = Peaks()
    quiet, loud = bytes([128]), bytes([200])
    half = int(RATE * seconds / 2)
    peaks.add(quiet * half)
    peaks.add(loud * half)
    seen = shape(peaks)
    width = seen["samples_per_pixel"]
    assert seen["length"] <= MOST
    assert seen["length"] == -(-half * 2 // width)
    first_loud = next(place for place, sample in enumerate(seen["data"][1::2]) if sample)
    assert first_loud == half // width


async def test_the_waveform_of_a_song_is_stored(bench: Bench, samples: Samples, processed: Processed) -> None:
    outcome = await processed(samples.data("tone.flac"))
    assert outcome.waveform_key is not None
    seen = json.loads(bench.workspace.path(outcome.waveform_key).read_bytes())
    assert (seen["version"], seen["channels"], seen["bits"], seen["sample_rate"]) == (2, 1, 8, RATE)
    assert seen["length"] * seen["samples_per_pixel"] == pytest.approx(2 * RATE, rel=0.05)
    assert max(seen["data"]) > 5
    assert min(seen["data"]) < -5


Ending = Exception | None


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> list[Ending]:
    """How each run of ffmpeg for a waveform is to end, the last one put in."""
    ends: list[Ending] = []

    async def run(*_: Any, **_options: Any) -> bytes:
        if ends and (error := ends[-1]) is not None:
            raise error
        return b""

    monkeypatch.setattr(waveform, "run_tool", run)
    return ends


async def noted(processed: Processed, path: Path) -> tuple[str | None, str]:
    outcome: Outcome = await processed(path.read_bytes())
    return outcome.waveform_key, " ".join(outcome.notes)


async def test_a_limit_costs_the_waveform_alone(
    samples: Samples, processed: Processed, ending: list[Ending]
) -> None:
    ending.append(ToolLimitError("it took longer than 5 seconds"))
    assert await noted(processed, samples.path("tone.mp3")) == (
        None,
        "There is no waveform, for it took longer than 5 seconds.",
    )


async def test_sound_that_cannot_be_heard_spoils_no_video(
    samples: Samples, processed: Processed, ending: list[Ending]
) -> None:
    ending.append(None)
    assert await noted(processed, samples.path("clip.mp4")) == (
        None,
        "There is no waveform: the sound cannot be read.",
    )


async def test_a_kind_of_sound_that_this_ffmpeg_cannot_decode_is_told_in_a_note(
    samples: Samples, processed: Processed, ending: list[Ending]
) -> None:
    ending.append(ToolFailedError("x", "Decoding requested, but no decoder found for: dts"))
    key, note = await noted(processed, samples.path("clip.mp4"))
    assert (key, "cannot decode this kind of sound" in note) == (None, True)
