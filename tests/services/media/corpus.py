"""Real and hostile inputs, made when they are asked for: of each its bytes and how it must end."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from tests.samples import PNG_HEADER, Samples, behind_id3, drawn, oriented, playlist, png, saved

_PICTURE: Final = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=0.5"]
_SOUND: Final = ["-f", "lavfi", "-i", "sine=frequency=440:duration=0.5"]
_BOTH: Final = [*_PICTURE, *_SOUND]

VIDEO: Final = r"ready video thumbnail poster preview=video/mp4"
FILM: Final = VIDEO + " waveform"
SOUND: Final = r"ready audio preview=audio/mp4 waveform"
PICTURE: Final = r"ready image thumbnail preview=image/jpeg"
DAMAGED: Final = r"failed .*(damaged or not what it seems|no picture and no sound)"
TOO_LARGE: Final = r"failed .*(more than 100 million pixels|too much memory|damaged)"
REFUSED: Final = r"refused 415 unsupported_media_type"

ENCODED: Final[dict[str, tuple[list[str], str]]] = {
    "h264-aac.mp4": ([*_BOTH, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"], FILM),
    "h264-444-10.mp4": ([*_PICTURE, "-c:v", "libx264", "-pix_fmt", "yuv444p10"], VIDEO),
    "hevc.mp4": ([*_PICTURE, "-c:v", "libx265", "-x265-params", "log-level=none"], VIDEO),
    "mpeg4-mp3.mp4": ([*_BOTH, "-c:v", "mpeg4", "-c:a", "libmp3lame"], FILM),
    "fragments.mp4": ([*_BOTH, "-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov"], FILM),
    "prores-pcm.mov": ([*_BOTH, "-c:v", "prores", "-c:a", "pcm_s24le"], FILM),
    "mjpeg-alac.mov": ([*_BOTH, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "alac"], FILM),
    "rle.mov": ([*_PICTURE, "-c:v", "qtrle"], VIDEO),
    "h263.3gp": ([*_PICTURE, "-c:v", "h263", "-s", "176x144"], VIDEO),
    "h264-flac.mkv": ([*_BOTH, "-c:v", "libx264", "-c:a", "flac"], FILM),
    "ffv1-opus.mkv": ([*_BOTH, "-c:v", "ffv1", "-c:a", "libopus"], FILM),
    "ac3.mkv": ([*_SOUND, "-c:a", "ac3"], SOUND),
    "vp8-opus.webm": ([*_BOTH, "-c:v", "libvpx", "-c:a", "libopus"], FILM),
    "vp9.webm": ([*_PICTURE, "-c:v", "libvpx-vp9"], VIDEO),
    "mpeg4-mp3.avi": ([*_BOTH, "-c:v", "mpeg4", "-c:a", "libmp3lame"], FILM),
    "msmpeg4-adpcm.avi": ([*_BOTH, "-c:v", "msmpeg4", "-c:a", "adpcm_ima_wav"], FILM),
    "h264-aac.ts": ([*_BOTH, "-c:v", "libx264", "-c:a", "aac"], FILM),
    "mpeg2-mp2.ts": ([*_BOTH, "-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2"], FILM),
    "mpeg1.mpg": ([*_BOTH, "-c:v", "mpeg1video", "-r", "25", "-c:a", "mp2"], FILM),
    "opus.ogg": ([*_SOUND, "-c:a", "libopus"], SOUND),
    "vorbis.ogg": ([*_SOUND, "-c:a", "vorbis", "-strict", "-2", "-ac", "2"], SOUND),
    "flac.ogg": ([*_SOUND, "-c:a", "flac"], SOUND),
    "tone.mp3": ([*_SOUND, "-c:a", "libmp3lame"], SOUND),
    "tone.flac": ([*_SOUND, "-c:a", "flac"], SOUND),
    "tone.aac": ([*_SOUND, "-c:a", "aac"], SOUND),
    "alac.m4a": ([*_SOUND, "-c:a", "alac"], SOUND),
    "aac.m4a": ([*_SOUND, "-c:a", "aac"], SOUND),
    "pcm.wav": (_SOUND, SOUND),
    "float-96k-6ch.wav": ([*_SOUND, "-c:a", "pcm_f32le", "-ar", "96000", "-ac", "6"], SOUND),
    "still.gif": ([*_PICTURE, "-frames:v", "1"], PICTURE),
    "moving.gif": (_PICTURE, PICTURE),
    "one-pixel.mkv": ([*_PICTURE, "-c:v", "ffv1", "-vf", "scale=1:1"], VIDEO),
    "wide.mkv": ([*_PICTURE, "-c:v", "mpeg4", "-vf", "scale=4096:16", "-frames:v", "2"], VIDEO),
    "fast.mkv": ([*_PICTURE, "-c:v", "libx264", "-r", "1000"], VIDEO),
    # Accepted by none of the types.
    "sorenson.flv": ([*_BOTH, "-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100"], REFUSED),
    "video.asf": ([*_BOTH, "-c:v", "wmv2", "-c:a", "wmav2"], REFUSED),
    "tone.aiff": (_SOUND, REFUSED),
    "raw.nut": ([*_PICTURE, "-c:v", "rawvideo"], REFUSED),
}
"""Files by ffmpeg: its options, and the end."""


@dataclass(frozen=True, slots=True)
class Input:
    """What is uploaded under which name, and a pattern of how it ends."""

    name: str
    data: bytes
    end: str


def inputs(samples: Samples, secret: Path, address: str) -> Iterator[Input]:
    """All of them.

    Args:
        samples: where they are made.
        secret: a media file of somebody else.
        address: of a server that must not be asked.
    """
    made = dict(_encoded(samples))
    for name, data in made.items():
        yield Input(name, data, ENCODED[name][1])
    yield from _pictures()
    yield from _damaged(made)
    yield from _disguised(made)
    yield from _bombs(made)
    yield from _pointers(made, secret, address)
    yield from _named(secret, address)


def _encoded(samples: Samples) -> Iterator[tuple[str, bytes]]:
    folder = samples.folder / "corpus"
    folder.mkdir(exist_ok=True)
    for name, (options, _) in ENCODED.items():
        if not (folder / name).exists():
            samples.ffmpeg("-threads", "1", *options, str(folder / name))
        yield name, (folder / name).read_bytes()


def _pictures() -> Iterator[Input]:
    for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"):
        yield Input(f"noise.{form.lower()}", drawn(form), PICTURE)
        yield Input(f"one-pixel.{form.lower()}", saved(Image.new("RGB", (1, 1)), form), PICTURE)
    yield Input("turned.jpg", oriented(drawn("JPEG"), 6), PICTURE)
    yield Input("cmyk.jpg", saved(Image.new("CMYK", (40, 30)), "JPEG"), PICTURE)
    yield Input("sixteen.png", saved(Image.new("I;16", (40, 30), 9), "PNG"), PICTURE)
    yield Input("20000-wide.png", png(20_000, 20), PICTURE)
    yield Input("20000-high.jpg", saved(Image.new("L", (20, 20_000)), "JPEG"), PICTURE)
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    yield Input("moving.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]), PICTURE)


def _damaged(made: dict[str, bytes]) -> Iterator[Input]:
    yield Input("nothing.mp4", b"", "refused 400 bad_request")
    yield Input("one-byte.mp4", b"\0", REFUSED)
    yield Input("zeros.mp4", bytes(50_000), REFUSED)
    for name in ("h264-aac.mp4", "prores-pcm.mov"):
        # The index stands at the end.
        yield Input(f"half-{name}", _half(made[name]), DAMAGED)
    for name in ("h264-flac.mkv", "vp8-opus.webm", "h264-aac.ts", "tone.mp3", "pcm.wav"):
        yield Input(f"half-{name}", _half(made[name]), "ready (video|audio) .*preview=")
    yield Input("half.avi", _half(made["mpeg4-mp3.avi"]), f"ready video|{DAMAGED}")
    for form in ("JPEG", "PNG", "WEBP"):
        yield Input(f"half.{form.lower()}", _half(drawn(form)), DAMAGED)
    yield Input("head-alone.mp4", made["h264-aac.mp4"][:40], DAMAGED)
    yield Input("head-alone.mkv", made["h264-flac.mkv"][:60], DAMAGED)
    yield Input("head-alone.mp3", b"\xff\xfb\x90\x64", REFUSED)
    noise = bytes(pow(3, number, 257) % 256 for number in range(20_000))
    yield Input("garbage.mp4", made["h264-aac.mp4"][:32] + noise, DAMAGED)
    yield Input("garbage.flac", b"fLaC" + noise, DAMAGED)
    yield Input("garbage.gif", b"GIF89a" + noise, TOO_LARGE)
    yield Input("garbage.tiff", b"II*\0" + noise, DAMAGED)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _disguised(made: dict[str, bytes]) -> Iterator[Input]:
    video, picture = made["h264-aac.mp4"], drawn("JPEG")
    yield Input("a-film.jpg", video, FILM)
    yield Input("a-picture.mp4", picture, PICTURE)
    yield Input("page.mp4", b"<!doctype html><script>alert(1)</script>", REFUSED)
    yield Input("drawing.jpg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', REFUSED)
    yield Input("script.png", b"#!/bin/sh\ntouch /tmp/pwned\n", REFUSED)
    yield Input("program.mov", b"\x7fELF\2\1\1" + bytes(100), REFUSED)
    yield Input("paper.jpg", b"%PDF-1.7\n", REFUSED)
    # Two things at once: what it begins with decides, and is all that is read.
    yield Input("zip-behind.jpg", picture + _zipped(), PICTURE)
    yield Input("page-behind.png", drawn("PNG") + b"<script>alert(1)</script>", PICTURE)
    yield Input("script.gif", b"GIF89a=1;/*" + bytes(20) + b"*/=1;alert(1)", DAMAGED)
    free = b"<script>alert(1)</script>"
    boxed = struct.pack(">I", len(free) + 8) + b"free" + free
    size = int.from_bytes(video[:4])
    yield Input("page-inside.mp4", video[:size] + boxed + video[size:], "(ready|failed) ")
    yield Input("svg.jpg", b"\xff\xd8\xff<svg onload='alert(1)'/>", DAMAGED)
    yield Input("picture-behind.mp3", behind_id3(picture), DAMAGED)


def _zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("run.js", "alert(1)")
    return held.getvalue()


def _bombs(made: dict[str, bytes]) -> Iterator[Input]:
    yield Input("20000-square.png", saved(Image.new("1", (20_000, 20_000)), "PNG"), TOO_LARGE)
    yield Input(
        "20000-square.gif", b"GIF89a" + struct.pack("<HHBBB", 20_000, 20_000, 0, 0, 0) + b";", DAMAGED
    )
    frame = drawn("JPEG")
    start = frame.index(b"\xff\xc0") + 5
    yield Input(
        "65500-square.jpg", frame[:start] + struct.pack(">HH", 65_500, 65_500) + frame[start + 4 :], TOO_LARGE
    )
    header = b"BM" + struct.pack("<IIIIiiHH", 54, 0, 54, 40, 60_000, 60_000, 1, 24) + bytes(24)
    yield Input("60000-square.bmp", header + bytes(1000), TOO_LARGE)
    text = Image.new("RGB", (9, 9))
    yield Input("much-text.png", _with_text(saved(text, "PNG"), 80_000_000), "(ready|failed) ")
    wave = made["pcm.wav"]
    place = wave.index(b"data") + 4
    yield Input("endless.wav", wave[:place] + b"\xff\xff\xff\xff" + wave[place + 4 :], SOUND)
    film = made["h264-aac.mp4"]
    place = film.index(b"mvhd") + 4 + 16
    yield Input("a-lifetime.mp4", film[:place] + b"\x7f\xff\xff\xff" + film[place + 4 :], FILM)
    clip = made["h264-flac.mkv"]
    place = clip.index(b"\x44\x89\x88") + 3
    yield Input("an-age.mkv", clip[:place] + struct.pack(">d", 1e15) + clip[place + 8 :], FILM)
    yield Input("again-and-again.ts", made["h264-aac.ts"] * 20, FILM)
    yield Input("again-and-again.mp3", made["tone.mp3"] * 50, SOUND)


def _with_text(picture: bytes, size: int) -> bytes:
    """The PNG with a text that is small only as long as it is compressed (PNG, 11.3.3.3)."""

    content = b"zTXtComment\0\0" + zlib.compress(bytes(size), 9)
    place = len(PNG_HEADER) + 25
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return picture[:place] + chunk + picture[place:]


def _pointers(made: dict[str, bytes], secret: Path, address: str) -> Iterator[Input]:
    """What would have a tool read another's file, or ask a server."""
    lists = {
        "hls": playlist(secret),
        "hls-away": f"#EXTM3U\n#EXTINF:1,\n{address}/a.ts\n#EXT-X-ENDLIST\n".encode(),
        "hls-key": b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="%s/key"\n#EXTINF:1,\n' % address.encode()
        + f"{secret}\n#EXT-X-ENDLIST\n".encode(),
        "concat": f"ffconcat version 1.0\nfile {secret}\n".encode(),
        "concat-away": f"ffconcat version 1.0\nfile {address}/a.ts\n".encode(),
        "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>'
        + f"{address}/</BaseURL></Period></MPD>".encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "m3u": f"{secret}\n".encode(),
    }
    heads = {
        "mp4": made["h264-aac.mp4"][: int.from_bytes(made["h264-aac.mp4"][:4])],
        "jpg": b"\xff\xd8\xff\xe0",
        "mkv": made["h264-flac.mkv"][:40],
    }
    for name, content in lists.items():
        for extension in ("mp4", "ts"):
            yield Input(f"{name}.{extension}", content, REFUSED)
        yield Input(f"{name}-behind-a-tag.mp3", behind_id3(content), DAMAGED)
    for extension, head in heads.items():
        yield Input(f"hls-behind-a-head.{extension}", head + lists["hls"], DAMAGED)
    film = made["h264-aac.mp4"]
    place = film.index(b"dref")
    outside = struct.pack(">I", 12 + len(str(secret)) + 1) + b"url \0\0\0\0" + bytes(secret) + b"\0"
    yield Input("data-elsewhere.mp4", film[: place + 12] + outside + film[place + 24 :], "(ready|failed) ")


def _named(secret: Path, address: str) -> Iterator[Input]:
    for name in (
        "../../../../etc/cron.d/x.png",
        "..\\..\\windows\\x.png",
        str(secret),
        "nul\0inside.png",
        "lines\r\nSet-Cookie: a=b.png",
        "\x1b[31mred\x07.png",
        "\u202egnp.exe",
        "\u2066hidden\u2069.png",
        "$(touch pwned);`id`.png",
        "-y -i.png",
        "%s%n%p.png",
        f"{address}/x.png",
        "concat:a|b.png",
        ".",
        "x" * 4000 + ".png",
        "",
    ):
        yield Input(name, png(8, 8), PICTURE)
    yield Input("x" * 5000 + ".png", png(8, 8), "refused 422 validation_error")
