"""Real files through the real tools."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.services.media import pictures
from app.services.media.process import END, PREVIEW, Bench, Outcome, process
from app.services.media.tools import MediaTools, missing_decoders
from app.services.media.types import MEDIA_TYPES, Kind
from tests.samples import Samples, behind_id3, drawn, jpeg_size, png
from tests.services.media.processing import Processed, ignore


def thumbnail(bench: Bench, outcome: Outcome) -> bytes:
    assert outcome.thumbnail_key is not None, outcome.notes
    return bench.workspace.path(outcome.thumbnail_key).read_bytes()


async def test_a_video_of_ten_seconds_is_probed_and_has_a_thumbnail(
    bench: Bench, samples: Samples, processed: Processed
) -> None:
    outcome = await processed(samples.data("clip.mp4", seconds=10))
    found = outcome.probe
    assert (found.kind, found.width, found.height) == (Kind.VIDEO, 640, 360)
    assert found.duration == pytest.approx(10, abs=0.2)
    assert [stream["codec_name"] for stream in found.facts["streams"]] == ["h264", "aac"]
    assert jpeg_size(thumbnail(bench, outcome)) == (480, 270)


@pytest.mark.parametrize(
    "name", ["clip.mov", "clip.3gp", "clip.mkv", "clip.webm", "clip.ts", "clip.avi", "clip.mpg"]
)
async def test_every_container_of_video_works(
    bench: Bench, samples: Samples, processed: Processed, name: str
) -> None:
    outcome = await processed(samples.data(name))
    assert outcome.probe.kind is Kind.VIDEO
    assert outcome.probe.duration == pytest.approx(2, abs=0.3)
    assert jpeg_size(thumbnail(bench, outcome)) == (480, 270)


@pytest.mark.parametrize(
    "name", ["tone.m4a", "tone.aac", "tone.mp3", "plain.mp3", "tone.wav", "tone.flac", "tone.ogg"]
)
async def test_sound_has_no_thumbnail_and_that_is_no_failure(
    samples: Samples, processed: Processed, name: str
) -> None:
    outcome = await processed(samples.data(name))
    assert outcome.probe.kind is Kind.AUDIO
    assert outcome.probe.duration == pytest.approx(2, abs=0.3)
    assert (outcome.thumbnail_key, outcome.poster_key, outcome.notes) == (None, None, ())


@pytest.mark.parametrize("name", ["picture.jpg", "picture.gif", "picture.bmp", "picture.tiff"])
async def test_a_picture_is_made_smaller(
    bench: Bench, samples: Samples, processed: Processed, name: str
) -> None:
    outcome = await processed(samples.data(name))
    assert (outcome.probe.kind, outcome.probe.width, outcome.probe.height) == (Kind.IMAGE, 640, 360)
    assert outcome.probe.duration is None
    assert jpeg_size(thumbnail(bench, outcome)) == (480, 270)


async def test_a_picture_that_the_camera_turned_is_shown_upright(
    bench: Bench, samples: Samples, processed: Processed
) -> None:
    outcome = await processed(samples.data("turned.jpg"))
    assert (outcome.probe.width, outcome.probe.height) == (640, 360)
    assert jpeg_size(thumbnail(bench, outcome)) == (480, 270)


async def test_pixels_that_are_not_square_are_made_so(
    bench: Bench, samples: Samples, processed: Processed
) -> None:
    outcome = await processed(samples.data("anamorphic.mp4"))
    assert jpeg_size(thumbnail(bench, outcome)) == (480, 270)


async def test_a_kind_of_picture_that_nothing_here_decodes_is_told_in_a_note(
    bench: Bench, processed: Processed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **_options: Any) -> Any:
        raise pictures.NoDecoderError

    monkeypatch.setattr(pictures, "read", refuse)
    ffmpeg = bench.find_tools()
    if "PNG" not in missing_decoders(ffmpeg):
        pytest.skip("this ffmpeg reads PNG too")
    outcome = await processed(png(64, 32))
    assert (outcome.probe.width, outcome.probe.height) == (64, 32)
    assert (outcome.thumbnail_key, outcome.notes) == (
        None,
        ("There is no thumbnail or preview: the installed ffmpeg cannot decode this kind of picture.",),
    )


async def test_a_video_that_this_ffmpeg_cannot_decode_is_ready_with_a_note(
    bench: Bench, samples: Samples, processed: Processed, tmp_path: Path
) -> None:
    if "AV1" not in missing_decoders(bench.find_tools()):
        pytest.skip("this ffmpeg reads AV1")
    # The one frame of an AVIF in a video container: ffmpeg copies what it cannot decode.
    still, path = tmp_path / "still.avif", tmp_path / "clip.mp4"
    still.write_bytes(drawn("AVIF"))
    samples.ffmpeg("-i", str(still), "-map", "0:v:0", "-c", "copy", "-f", "mp4", str(path))
    outcome = await processed(path.read_bytes(), "video/mp4")
    assert outcome.probe.facts["streams"][0]["codec_name"] == "av1"
    assert outcome.thumbnail_key is None
    assert outcome.notes == (
        "There is no thumbnail, poster or preview: the installed ffmpeg cannot decode this kind of picture.",
    )


@pytest.mark.parametrize("name", ["tone.flac", "tone.aac"])
async def test_sound_behind_an_id3_tag_is_read(samples: Samples, processed: Processed, name: str) -> None:
    outcome = await processed(behind_id3(samples.data(name)))
    assert outcome.probe.facts["streams"][0]["codec_name"] == Path(name).suffix[1:]


async def test_cover_art_is_the_thumbnail_of_a_song(
    bench: Bench, samples: Samples, processed: Processed
) -> None:
    song = samples.folder / "cover.mp3"
    parts = ["-i", str(samples.path("tone.mp3")), "-i", str(samples.path("picture.jpg"))]
    samples.ffmpeg(
        *parts, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v", "attached_pic", str(song)
    )
    outcome = await processed(song.read_bytes())
    assert outcome.probe.kind is Kind.AUDIO
    assert jpeg_size(thumbnail(bench, outcome)) == (480, 270)


async def test_broken_cover_art_does_not_spoil_a_song(samples: Samples, processed: Processed) -> None:
    song = samples.folder / "cover-to-break.mp3"
    parts = ["-i", str(samples.path("tone.mp3")), "-i", str(samples.path("picture.jpg"))]
    samples.ffmpeg(
        *parts, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v", "attached_pic", str(song)
    )
    data = bytearray(song.read_bytes())
    start = data.index(b"\xff\xd8\xff")
    data[start : start + 2000] = bytes(2000)
    outcome = await processed(bytes(data))
    assert outcome.probe.kind is Kind.AUDIO
    assert (outcome.thumbnail_key, outcome.notes) == (
        None,
        ("There is no thumbnail or poster: the cover picture cannot be read.",),
    )


async def test_running_it_again_gives_the_same(samples: Samples, processed: Processed) -> None:
    data = samples.data("clip.mp4")
    assert await processed(data) == await processed(data)


SLOW_TO_OPEN = """#!/bin/sh
: >"$HOME/walled"
until [ -e "$HOME/stored" ]; do :; done
for last; do :; done
true <"${last#file:}" || exit 1
echo '{"format": {}, "streams": [{"index": 0, "codec_type": "audio", "sample_rate": "8000"}]}'
"""


async def test_a_file_that_is_stored_again_while_a_tool_starts_is_still_read(
    bench: Bench, samples: Samples, tmp_path: Path
) -> None:
    """The walls let files through, not names: a second upload of a content must not shut out the first."""
    tool = tmp_path / "tool"
    tool.write_text(SLOW_TO_OPEN)
    tool.chmod(0o755)
    slow = replace(bench, find_tools=lambda: MediaTools(bench.find_tools().ffmpeg, tool))
    stored = await bench.workspace.keep(samples.data("tone.mp3"))
    task = asyncio.create_task(process(slow, stored.key, MEDIA_TYPES["audio/mpeg"], ignore))
    with anyio.fail_after(60):
        while not (walled := list(bench.workspace.temporary.glob("holdfast-work-*/walled"))):
            await anyio.sleep(0.01)
    await bench.workspace.keep(samples.data("tone.mp3"))
    walled[0].with_name("stored").touch()
    assert (await task).probe.kind is Kind.AUDIO


async def test_nothing_is_left_of_the_work(bench: Bench, samples: Samples, processed: Processed) -> None:
    await processed(samples.data("clip.mp4"))
    assert list(bench.workspace.temporary.iterdir()) == []
    assert list(bench.workspace.uploads.iterdir()) == []


async def test_it_tells_how_far_it_is(bench: Bench, samples: Samples) -> None:
    told: list[tuple[float, str]] = []

    async def report(share: float, word: str) -> None:
        told.append((share, word))

    stored = await bench.workspace.keep(samples.data("clip.mp4", seconds=10))
    await process(bench, stored.key, MEDIA_TYPES["video/mp4"], report)
    words = list(dict.fromkeys(word for _, word in told))
    assert words == ["probe", "thumbnail", "waveform", "preview", "storage"]
    assert told == sorted(told, key=lambda each: each[0])
    assert 0 < told[0][0] < told[-1][0] < 1
    assert any(PREVIEW < share < END for share, word in told if word == "preview"), "ffmpeg tells it itself"


async def test_a_video_whose_picture_ends_early_has_a_thumbnail_from_its_beginning(
    bench: Bench, samples: Samples, processed: Processed, tmp_path: Path
) -> None:
    path = tmp_path / "early.mp4"
    parts = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=640x360:duration=0.2",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=60",
    ]
    samples.ffmpeg(*parts, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path))
    assert jpeg_size(thumbnail(bench, await processed(path.read_bytes()))) == (480, 270)
