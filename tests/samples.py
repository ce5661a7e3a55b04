"""Real media files, made once a run by the real ffmpeg."""

import io
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from app.core.config.groups import MediaSettings
from app.services.media.tools import MediaTools, ToolMissingError, find_tools

_PICTURE: Final = ["-f", "lavfi", "-i", "testsrc=size=640x360:rate=25:duration={seconds}"]
_SOUND: Final = ["-f", "lavfi", "-i", "sine=frequency=440:duration={seconds}"]
_H264: Final = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]

_RECIPES: Final = {
    "clip.mp4": [*_PICTURE, *_SOUND, *_H264],
    "clip.mov": [*_PICTURE, *_SOUND, *_H264],
    "clip.3gp": [*_PICTURE, *_SOUND, *_H264],
    "clip.mkv": [*_PICTURE, *_SOUND, *_H264],
    "clip.ts": [*_PICTURE, *_SOUND, *_H264],
    "clip.webm": [*_PICTURE, *_SOUND, "-c:v", "libvpx", "-c:a", "libopus"],
    "clip.avi": [*_PICTURE, *_SOUND, "-c:v", "mpeg4", "-c:a", "libmp3lame"],
    "clip.mpg": [*_PICTURE, *_SOUND, "-c:v", "mpeg2video", "-c:a", "mp2"],
    "tone.m4a": [*_SOUND, "-c:a", "aac"],
    "tone.aac": [*_SOUND, "-c:a", "aac"],
    "tone.mp3": [*_SOUND, "-c:a", "libmp3lame"],
    "plain.mp3": [*_SOUND, "-c:a", "libmp3lame", "-id3v2_version", "0", "-write_xing", "0"],
    "tone.wav": _SOUND,
    "tone.flac": _SOUND,
    "tone.ogg": [*_SOUND, "-c:a", "libopus"],
    "picture.jpg": [*_PICTURE, "-frames:v", "1", "-update", "1"],
    "picture.gif": [*_PICTURE, "-frames:v", "1"],
    "picture.bmp": [*_PICTURE, "-frames:v", "1", "-update", "1"],
    "picture.tiff": [*_PICTURE, "-frames:v", "1", "-update", "1", "-compression_algo", "raw"],
    "anamorphic.mp4": [*_PICTURE, *_H264, "-vf", "scale=360:360,setsar=16/9"],
    "upright.jpg": [*_PICTURE, "-vf", "transpose=1", "-frames:v", "1", "-update", "1"],
}

PNG_HEADER: Final = b"\x89PNG\r\n\x1a\n"


class Samples:
    """Files by name: each is made when it is first asked for."""

    def __init__(self, folder: Path, tools: MediaTools) -> None:
        self.folder = folder
        self.tools = tools

    def path(self, name: str, *, seconds: float = 2) -> Path:
        """A file of the recipe of this name, of so many seconds."""
        path = self.folder / f"{seconds:g}-{name}"
        if not path.exists():
            if name in _RECIPES:
                self._encode(path, [part.format(seconds=seconds) for part in _RECIPES[name]])
            else:
                path.write_bytes(_MADE[name](self))
        return path

    def data(self, name: str, *, seconds: float = 2) -> bytes:
        """The content of such a file."""
        return self.path(name, seconds=seconds).read_bytes()

    def _encode(self, path: Path, options: list[str]) -> None:
        self.ffmpeg(*options, str(path))

    def ffmpeg(self, *options: str) -> None:
        """Run ffmpeg with these options."""
        subprocess.run(
            [self.tools.ffmpeg, "-hide_banner", "-nostdin", "-v", "error", "-y", *options],
            check=True,
            timeout=150,
        )


def oriented(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an Exif block that says how the camera was held (CIPA DC-008, 4.6.4)."""
    entry = struct.pack(">HHHIHH", 1, 0x0112, 3, 1, orientation, 0) + bytes(4)
    block = b"Exif\0\0" + b"MM\0*" + struct.pack(">I", 8) + entry
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def drawn(form: str, **options: Any) -> bytes:
    """A picture of 640 x 360 in one of Pillow's formats: noise, so that half a file is half a picture."""
    return saved(Image.effect_noise((640, 360), 60).convert("RGB"), form, **options)


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    """A picture as a file of this format."""
    output = io.BytesIO()
    picture.save(output, form, **options)
    return output.getvalue()


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x20\x80\xc0" * width) * height)
    return PNG_HEADER + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def playlist(target: Path) -> bytes:
    """An HLS playlist that names a local file."""
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode()


def behind_id3(content: bytes, *, padding: int = 10) -> bytes:
    """Content behind an empty ID3 tag: it looks like an MP3, and ffmpeg left to itself skips the tag."""
    size = bytes(padding >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + bytes(padding) + content


def _turned(samples: Samples) -> bytes:
    return oriented(samples.data("upright.jpg"), 8)


def _truncated(samples: Samples) -> bytes:
    return samples.data("clip.mp4")[:20_000]


def _truncated_png(_samples: Samples) -> bytes:
    return drawn("PNG")[:20_000]


def _png(_samples: Samples) -> bytes:
    return png(64, 32)


_MADE: Final[dict[str, Callable[[Samples], bytes]]] = {
    "turned.jpg": _turned,
    "picture.png": _png,
    "truncated.mp4": _truncated,
    "truncated.png": _truncated_png,
}


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG (ITU-T T.81, B.2.2)."""
    assert data[:2] == b"\xff\xd8"
    place = 2
    while data[place + 1] not in (0xC0, 0xC1, 0xC2):
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return int.from_bytes(data[place + 7 : place + 9]), int.from_bytes(data[place + 5 : place + 7])


@pytest.fixture(scope="session")
def media_tools() -> MediaTools:
    """The ffmpeg and ffprobe of this machine."""
    return find_tools(MediaSettings())


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory, media_tools: MediaTools) -> Samples:
    """Real media files by name."""
    return Samples(tmp_path_factory.mktemp("samples"), _drawing(media_tools))


def _drawing(tools: MediaTools) -> MediaTools:
    """The tools of the wheel where it is installed: they draw test pictures, which an image's own cannot."""
    try:
        return find_tools(MediaSettings(), {"PATH": ""})
    except ToolMissingError:
        return tools
