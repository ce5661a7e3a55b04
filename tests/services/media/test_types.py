"""Types from bytes."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.exceptions.base import UnsupportedMediaTypeException
from app.services.media.types import MEDIA_TYPES, Kind, sniff
from app.services.workspace.incoming import HEAD
from tests.samples import Samples, behind_id3


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("clip.mp4", "video/mp4"),
        ("clip.mov", "video/quicktime"),
        ("clip.3gp", "video/3gpp"),
        ("clip.mkv", "video/x-matroska"),
        ("clip.webm", "video/webm"),
        ("clip.ts", "video/mp2t"),
        ("clip.avi", "video/x-msvideo"),
        ("clip.mpg", "video/mpeg"),
        ("tone.m4a", "audio/mp4"),
        ("tone.aac", "audio/aac"),
        ("tone.mp3", "audio/mpeg"),
        ("plain.mp3", "audio/mpeg"),
        ("tone.wav", "audio/wav"),
        ("tone.flac", "audio/flac"),
        ("tone.ogg", "audio/ogg"),
        ("picture.jpg", "image/jpeg"),
        ("picture.png", "image/png"),
        ("picture.gif", "image/gif"),
        ("picture.bmp", "image/bmp"),
        ("picture.tiff", "image/tiff"),
    ],
)
def test_a_real_file_is_known_by_its_first_bytes(samples: Samples, name: str, mime: str) -> None:
    assert sniff(samples.data(name)[:HEAD]).mime == mime


def test_an_mp3_of_each_version_is_known_without_a_tag(samples: Samples, tmp_path: object) -> None:
    for rate in ("44100", "22050", "11025"):
        path = samples.folder / f"{rate}.mp3"
        untagged = ["-id3v2_version", "0", "-write_xing", "0"]
        samples.ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-ar", rate, *untagged, str(path))
        assert sniff(path.read_bytes()[:HEAD]).mime == "audio/mpeg", rate


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "image/avif"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "image/avif"),
        (b"\0\0\0\x18ftypXYZW\0\0\0\0", "video/mp4"),
        (b"\0\0\1\0moov\0\0\0\x6cmvhd", "video/quicktime"),
        (b"OggS\0\2" + bytes(22) + b"\x80theora\3\2", "video/ogg"),
        (b"\0\0\1\xb3\x14\0\xf0", "video/mpeg"),
    ],
)
def test_what_ffmpeg_cannot_make_here_is_known_too(head: bytes, mime: str) -> None:
    assert sniff(head).mime == mime


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"hello, this is text",
        b"<!doctype html><html><script>alert(1)</script>",
        b"<html>",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        b"<svg onload=alert(1)>",
        b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"%PDF-1.7",
        b"PK\3\4",
        b"MZ\x90\0",
        b"\x7fELF",
        b"BM, said the letter",
        b"\xff\xfb is no frame",
        b"\xff\xf1 is no frame either",
        b"RIFF\x24\0\0\0sfbk",
        b"G" * 100,
        b"FLV\1",
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(head: bytes) -> None:
    with pytest.raises(UnsupportedMediaTypeException, match="MP4") as caught:
        sniff(head)
    assert "video/mp4" in caught.value.details["accepted"]


@pytest.mark.parametrize(
    ("name", "mime"), [("tone.flac", "audio/flac"), ("tone.aac", "audio/aac"), ("plain.mp3", "audio/mpeg")]
)
def test_sound_behind_an_id3_tag_is_known_for_what_it_is(samples: Samples, name: str, mime: str) -> None:
    assert sniff(behind_id3(samples.data(name))[:HEAD]).mime == mime


def test_a_tag_that_fills_the_head_is_taken_for_an_mp3s() -> None:
    assert sniff(behind_id3(b"fLaC", padding=HEAD)[:HEAD]).mime == "audio/mpeg"


def test_the_demuxer_is_bound_to_the_type_so_that_hidden_playlists_stay_unread() -> None:
    assert sniff(behind_id3(b"#EXTM3U\n")).demuxer == "mp3"


def test_no_type_is_opened_by_a_demuxer_that_follows_references() -> None:
    following = {"hls", "dash", "concat", "image2", "sdp", "rtsp", "webm_dash_manifest", "svg_pipe"}
    assert not following & {each.demuxer for each in MEDIA_TYPES.values()}


def test_each_type_has_a_kind() -> None:
    assert {each.kind for each in MEDIA_TYPES.values()} == set(Kind)


@settings(deadline=None)
@given(
    st.binary(max_size=64)
    | st.builds(
        bytes.__add__,
        st.sampled_from([b"\xff\xfb", b"\xff\xf1", b"\0\0\0\x18ftyp", b"RIFF", b"BM", b"OggS\0"]),
        st.binary(max_size=64),
    )
)
def test_no_bytes_at_all_break_it(head: bytes) -> None:
    with suppress(UnsupportedMediaTypeException):
        assert sniff(head).mime in MEDIA_TYPES
