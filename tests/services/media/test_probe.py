"""Reading what ffprobe says."""

import json
from typing import Any

import pytest

from app.services.media import probe as probing
from app.services.media.probe import Probe, UnreadableError, parse
from app.services.media.types import MEDIA_TYPES, Kind

VIDEO = MEDIA_TYPES["video/mp4"]
PICTURE = MEDIA_TYPES["image/jpeg"]


def stream(**facts: Any) -> dict[str, Any]:
    return {"index": 0, "codec_type": "video", "width": 640, "height": 360} | facts


def read(*streams: dict[str, Any], media_type: Any = VIDEO, head: bytes = b"", **others: Any) -> Probe:
    return parse(json.dumps({"streams": streams, "format": {}} | others).encode(), media_type, head)


@pytest.mark.parametrize(
    ("rotation", "size"), [(0, (640, 360)), (-90, (360, 640)), (180, (640, 360)), (270, (360, 640))]
)
def test_the_size_is_as_it_is_shown(rotation: int, size: tuple[int, int]) -> None:
    found = read(stream(side_data_list=[{"side_data_type": "Display Matrix", "rotation": rotation}]))
    assert (found.width, found.height) == size


@pytest.mark.parametrize("orientation", ["5", "6", "7", "8"])
def test_the_tag_of_an_older_ffmpeg_turns_a_picture_too(orientation: str) -> None:
    found = read(stream(), media_type=PICTURE, frames=[{"tags": {"Orientation": f"  {orientation}"}}])
    assert (found.width, found.height) == (360, 640)


def test_the_matrix_of_the_frame_turns_a_picture() -> None:
    found = read(stream(), media_type=PICTURE, frames=[{"side_data_list": [{"size": 14}, {"rotation": -90}]}])
    assert (found.width, found.height) == (360, 640)


def test_a_png_that_this_ffmpeg_cannot_read_tells_its_size_itself() -> None:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x40\0\0\0\x20"
    found = read(stream(width=0, height=0), media_type=MEDIA_TYPES["image/png"], head=head)
    assert (found.width, found.height) == (64, 32)


@pytest.mark.parametrize("width", [0, -5, "x", None, 2**40, "nan"])
def test_a_size_that_is_none_is_left_out(width: Any) -> None:
    found = read(stream(width=width))
    assert (found.width, found.height) == (None, None)


def test_a_container_for_video_that_holds_sound_alone_is_sound() -> None:
    found = read({"index": 0, "codec_type": "audio", "sample_rate": "48000", "duration": "2.5"})
    assert (found.kind, found.duration, found.picture, found.width) == (Kind.AUDIO, 2.5, None, None)


def test_a_container_for_sound_that_holds_video_is_video() -> None:
    assert read(stream(), media_type=MEDIA_TYPES["audio/ogg"]).kind is Kind.VIDEO


def test_cover_art_makes_no_video_of_a_song_but_a_thumbnail() -> None:
    cover = stream(index=1, disposition={"attached_pic": 1})
    found = read(
        {"index": 0, "codec_type": "audio", "sample_rate": "48000"},
        cover,
        media_type=MEDIA_TYPES["audio/mpeg"],
    )
    assert (found.kind, found.picture, found.width) == (Kind.AUDIO, 1, None)


def test_the_cover_of_a_video_is_not_taken_for_the_video() -> None:
    found = read(stream(index=0, disposition={"attached_pic": 1}), stream(index=1, width=100))
    assert (found.picture, found.width) == (1, 100)


@pytest.mark.parametrize(
    "streams",
    [
        [],
        [{"index": 0, "codec_type": "subtitle"}],
        [{"index": 0}],
        [{"codec_type": "audio", "sample_rate": "0"}],
    ],
)
def test_neither_picture_nor_sound_is_unreadable(streams: list[dict[str, Any]]) -> None:
    with pytest.raises(UnreadableError, match="no picture and no sound"):
        read(*streams)


def test_a_picture_without_a_size_is_unreadable() -> None:
    with pytest.raises(UnreadableError):
        read(stream(width=0), media_type=PICTURE)


def test_a_picture_without_a_picture_is_unreadable() -> None:
    with pytest.raises(UnreadableError):
        read({"index": 0, "codec_type": "audio"}, media_type=PICTURE)


@pytest.mark.parametrize(
    ("given", "known"), [("12.5", 12.5), ("N/A", None), ("inf", None), ("-1", None), (None, None)]
)
def test_the_duration_is_a_positive_number_or_none(given: Any, known: float | None) -> None:
    assert read(stream(), format={"duration": given}).duration == known


def test_a_picture_has_no_duration() -> None:
    assert read(stream(), media_type=PICTURE, format={"duration": "0.04"}).duration is None


def test_what_is_kept_is_bounded_and_fit_for_the_database() -> None:
    tags = {f"tag{number}": "x" * 600 for number in range(40)}
    found = read(
        *[stream(tags=tags, secret="x", channels=2, profile=[1])] * 70,
        format={"tags": {"title": "a\0b\ud800c", "\0name": "v"}, "filename": "/private/path"},
    )
    kept = json.dumps(found.facts)
    assert len(found.facts["streams"]) == probing.MAXIMUM_STREAMS
    assert len(found.facts["streams"][0]["tags"]) == 32
    assert max(len(value) for value in found.facts["streams"][0]["tags"].values()) == 500
    assert found.facts["format"]["tags"] == {"title": "ab?c", "name": "v"}
    assert "secret" not in kept
    assert "/private/path" not in kept


def test_the_tools_may_open_local_files_of_one_container_only() -> None:
    options = probing.input_options(VIDEO)
    assert options[options.index("-protocol_whitelist") + 1] == "file"
    assert options[options.index("-format_whitelist") + 1] == "mov"
    assert options[options.index("-f") + 1] == "mov"


def test_no_codec_that_runs_scripts_or_reads_text_is_let_in() -> None:
    assert not {"ass", "ansi", "svg", "librsvg", "tinytext", "subrip", "text"} & set(
        probing.CODECS.split(",")
    )
