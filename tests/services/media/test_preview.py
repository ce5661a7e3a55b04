"""Previews that every browser plays, and what keeps one from being made."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.config.groups import MediaSettings
from app.exceptions.base import InsufficientStorageException
from app.services.media import preview
from app.services.media.probe import Probe
from app.services.media.process import Bench, Outcome, process
from app.services.media.run import ToolFailedError, ToolHinderedError, ToolLimitError, run_tool
from app.services.media.tools import MediaTools
from app.services.media.types import Kind, sniff
from app.services.workspace import State, Workspace, storage_error
from app.services.workspace.incoming import HEAD
from tests.samples import Samples, jpeg_size
from tests.services.media.processing import Processed, ignore


class Looked:
    """What ffprobe says of a preview."""

    def __init__(self, tools: MediaTools, path: Path) -> None:
        shown = ("-v", "error", "-print_format", "json", "-show_format", "-show_streams", str(path))
        done = subprocess.run([tools.ffprobe, *shown], capture_output=True, check=True, timeout=60)
        answer = json.loads(done.stdout)
        self.format: dict[str, Any] = answer["format"]
        self.streams: list[dict[str, Any]] = answer["streams"]

    def codecs(self) -> list[tuple[str, str | None]]:
        return [(stream["codec_name"], stream.get("pix_fmt")) for stream in self.streams]


def looked(bench: Bench, outcome: Outcome) -> Looked:
    assert outcome.preview_key is not None, outcome.notes
    return Looked(bench.find_tools(), bench.workspace.path(outcome.preview_key))


def made(samples: Samples, name: str, *options: str) -> bytes:
    path = samples.folder / name
    samples.ffmpeg(*options, str(path))
    return path.read_bytes()


CAMERA = ("-f", "lavfi", "-i", "testsrc=size=1600x900:rate=120:duration=0.3", "-f", "lavfi", "-i")


async def test_a_large_video_is_made_light_for_browsers(
    bench: Bench, samples: Samples, processed: Processed
) -> None:
    sound = ("sine=duration=0.3:sample_rate=96000", "-ac", "6", "-c:a", "flac")
    tagged = ("-metadata", "location=+52.1+013.0/", "-c:v", "libx264", "-preset", "ultrafast")
    outcome = await processed(
        made(samples, "camera.mkv", *CAMERA, *sound, *tagged, "-pix_fmt", "yuv422p10le")
    )
    seen = looked(bench, outcome)
    assert outcome.preview_type == "video/mp4"
    assert seen.codecs() == [("h264", "yuv420p"), ("aac", None)]
    picture, music = seen.streams
    assert (picture["width"], picture["height"], picture["avg_frame_rate"]) == (1280, 720, "60/1")
    assert (music["channels"], music["sample_rate"]) == (2, "48000")
    assert "location" not in seen.format.get("tags", {})


async def test_it_plays_before_all_of_it_has_come(
    bench: Bench, samples: Samples, processed: Processed
) -> None:
    outcome = await processed(samples.data("clip.mp4"))
    assert outcome.preview_key is not None
    data = bench.workspace.path(outcome.preview_key).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


async def test_an_upright_film_stays_upright_and_odd_sides_are_made_even(
    bench: Bench, samples: Samples, processed: Processed, tmp_path: Path
) -> None:
    lying = made(
        samples, "lying.mp4", "-f", "lavfi", "-i", "testsrc=size=322x180:duration=0.4", "-c:v", "mpeg4"
    )
    (tmp_path / "lying.mp4").write_bytes(lying)
    turned = made(
        samples, "turned.mp4", "-display_rotation", "90", "-i", str(tmp_path / "lying.mp4"), "-c", "copy"
    )
    [picture] = looked(bench, await processed(turned)).streams
    assert (picture["width"], picture["height"]) == (180, 322)
    odd = made(samples, "odd.mkv", "-f", "lavfi", "-i", "testsrc=size=33x17:duration=0.4", "-c:v", "ffv1")
    [picture] = looked(bench, await processed(odd)).streams
    assert (picture["width"], picture["height"]) == (34, 18)


async def test_sound_has_a_preview_of_sound(bench: Bench, samples: Samples, processed: Processed) -> None:
    outcome = await processed(samples.data("tone.wav"))
    assert outcome.preview_type == "audio/mp4"
    seen = looked(bench, outcome)
    assert seen.codecs() == [("aac", None)]
    assert float(seen.format["duration"]) == pytest.approx(2, abs=0.1)


async def test_the_poster_of_a_video_is_large(bench: Bench, samples: Samples, processed: Processed) -> None:
    outcome = await processed(made(samples, "large.mkv", *CAMERA[:4], "-c:v", "mpeg4", "-q:v", "9"))
    assert outcome.poster_key is not None
    assert jpeg_size(bench.workspace.path(outcome.poster_key).read_bytes()) == (1280, 720)


async def test_the_preview_of_a_picture_is_upright(
    bench: Bench, samples: Samples, processed: Processed
) -> None:
    outcome = await processed(samples.data("turned.jpg"))
    assert (outcome.preview_type, outcome.poster_key) == ("image/jpeg", None)
    assert outcome.preview_key is not None
    assert jpeg_size(bench.workspace.path(outcome.preview_key).read_bytes()) == (640, 360)


async def processed_with(bench: Bench, data: bytes, **settings: Any) -> Outcome:
    stored = await bench.workspace.keep(data)
    limited = replace(bench, settings=MediaSettings(**settings))
    return await process(limited, stored.key, sniff(data[:HEAD]), ignore)


async def test_one_that_grows_too_large_keeps_its_beginning(bench: Bench, samples: Samples) -> None:
    noise = ("-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=20,noise=alls=60:allf=t")
    film = made(samples, "noise.mp4", *noise, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "40")
    outcome = await processed_with(bench, film, preview_size=4_000_000)
    assert outcome.notes == ("The preview ends early, for it wrote a file that is too large.",)
    assert 1 < float(looked(bench, outcome).format["duration"]) < 19


async def test_none_is_begun_where_there_is_no_room_for_it(
    bench: Bench, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = samples.data("clip.mp4")

    def require_room(_workspace: Workspace, expected: int = 0) -> None:
        if expected == 2 * len(film):
            raise storage_error(State.FULL)

    monkeypatch.setattr(Workspace, "require_room", require_room)
    with pytest.raises(InsufficientStorageException):
        await processed_with(bench, film)


async def test_one_that_takes_too_long_keeps_its_beginning(
    bench: Bench, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*arguments: Any, **options: Any) -> bytes:
        output = await run_tool(*arguments, **options)
        if "hear" in options:
            raise ToolLimitError("it took longer than 5 seconds")
        return output

    monkeypatch.setattr(preview, "run_tool", interrupted)
    outcome = await processed_with(bench, samples.data("clip.mp4"))
    assert outcome.notes == ("The preview ends early, for it took longer than 5 seconds.",)
    assert outcome.preview_key is not None


async def test_one_that_could_not_be_begun_is_told(bench: Bench, samples: Samples) -> None:
    outcome = await processed_with(bench, samples.data("tone.mp3"), preview_timeout=0.001)
    assert outcome.preview_key is None
    assert "could not be begun in time" in outcome.notes[0]


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (ToolFailedError("odd frames"), "There is no preview. The file cannot be read as video/mp4"),
        (
            ToolFailedError("x", "Decoding requested, but no decoder found for: dts"),
            "There is no preview: the installed ffmpeg cannot decode",
        ),
    ],
)
async def test_what_goes_wrong_leaves_the_file_ready_with_a_note(
    bench: Bench, samples: Samples, monkeypatch: pytest.MonkeyPatch, error: ToolFailedError, note: str
) -> None:
    async def fail(*_: Any, **_options: Any) -> bytes:
        raise error

    monkeypatch.setattr(preview, "run_tool", fail)
    outcome = await processed_with(bench, samples.data("clip.mp4"))
    assert outcome.thumbnail_key is not None
    assert outcome.notes[0].startswith(note)


async def test_a_full_disk_is_no_fault_of_the_file(
    bench: Bench, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **_options: Any) -> bytes:
        raise ToolFailedError("Error submitting a packet to the muxer: No space left on device")

    monkeypatch.setattr(preview, "run_tool", fail)
    with pytest.raises(ToolHinderedError, match="No space left"):
        await processed_with(bench, samples.data("clip.mp4"))


@pytest.mark.parametrize(("known", "note"), [({}, "H.264 and AAC"), ({"H.264": "libx264"}, "AAC")])
async def test_an_ffmpeg_without_encoders_is_told_in_a_note(
    bench: Bench, samples: Samples, monkeypatch: pytest.MonkeyPatch, known: dict[str, str], note: str
) -> None:
    monkeypatch.setattr(preview, "encoders", lambda _ffmpeg: known)
    outcome = await processed_with(bench, samples.data("clip.mp4"))
    assert outcome.notes == (f"There is no preview: the installed ffmpeg cannot write {note}.",)


async def test_what_there_is_already_is_saved_before_the_long_step(bench: Bench, samples: Samples) -> None:
    saved: list[Outcome] = []

    async def save(outcome: Outcome) -> None:
        saved.append(outcome)

    data = samples.data("clip.mp4")
    stored = await bench.workspace.keep(data)
    outcome = await process(bench, stored.key, sniff(data[:HEAD]), ignore, save)
    assert saved == [replace(outcome, preview_key=None, preview_type=None)]
    assert None not in (saved[0].thumbnail_key, saved[0].poster_key, saved[0].waveform_key)


@pytest.mark.parametrize(
    ("rate", "step"),
    [("25/1", 1), ("60/1", 1), ("60000/1001", 1), ("120/1", 2), ("9000/1", 16), ("0/0", 1), ("x", 1)],
)
def test_of_fast_frames_some_are_left_out(rate: str, step: int) -> None:
    streams = [{"index": 0}, {"index": 1, "avg_frame_rate": rate}]
    assert preview._step(Probe(Kind.VIDEO, 1, 1, 1.0, 1, {"streams": streams})) == step
