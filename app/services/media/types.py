"""The media types that are accepted, told from a file's first bytes and from nothing else.

A type also names the one demuxer that ffmpeg may open the file with, so that a playlist which hides behind
a media header is never read as one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.exceptions.base import UnsupportedMediaTypeException
from app.services.media import id3


class Kind(StrEnum):
    """What a file is to people."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type of file: its IANA name, the usual extension, and ffmpeg's demuxer."""

    mime: str
    extension: str
    demuxer: str

    @property
    def kind(self) -> Kind:
        """What the name promises; a container may turn out to hold sound only."""
        return Kind(self.mime.partition("/")[0])


_TYPES: Final = (
    MediaType("image/jpeg", ".jpg", "jpeg_pipe"),
    MediaType("image/png", ".png", "png_pipe"),
    MediaType("image/gif", ".gif", "gif"),
    MediaType("image/webp", ".webp", "webp_pipe"),
    MediaType("image/bmp", ".bmp", "bmp_pipe"),
    MediaType("image/tiff", ".tiff", "tiff_pipe"),
    MediaType("image/heic", ".heic", "mov"),
    MediaType("image/avif", ".avif", "mov"),
    MediaType("video/mp4", ".mp4", "mov"),
    MediaType("video/quicktime", ".mov", "mov"),
    MediaType("video/3gpp", ".3gp", "mov"),
    MediaType("video/webm", ".webm", "matroska"),
    MediaType("video/x-matroska", ".mkv", "matroska"),
    MediaType("video/ogg", ".ogv", "ogg"),
    MediaType("video/x-msvideo", ".avi", "avi"),
    MediaType("video/mp2t", ".ts", "mpegts"),
    MediaType("video/mpeg", ".mpg", "mpeg"),
    MediaType("audio/mpeg", ".mp3", "mp3"),
    MediaType("audio/aac", ".aac", "aac"),
    MediaType("audio/mp4", ".m4a", "mov"),
    MediaType("audio/flac", ".flac", "flac"),
    MediaType("audio/ogg", ".ogg", "ogg"),
    MediaType("audio/wav", ".wav", "wav"),
)

MEDIA_TYPES: Final = {media_type.mime: media_type for media_type in _TYPES}

ACCEPTED: Final = (
    "JPEG, PNG, GIF, WebP, BMP, TIFF, HEIC and AVIF pictures; MP4, QuickTime, 3GP, WebM, Matroska, Ogg, AVI, "
    "MPEG-TS and MPEG video; MP3, AAC, M4A, FLAC, Ogg and WAV sound"
)

# ISO base media brands (ISO/IEC 14496-12, section 4.3), by their first letters.
_BRANDS: Final = {
    b"qt": "video/quicktime",
    b"3g": "video/3gpp",
    b"M4A": "audio/mp4",
    b"M4B": "audio/mp4",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"hei": "image/heic",
    b"hev": "image/heic",
    b"mif1": "image/heic",
    b"msf1": "image/heic",
}

_MPEG_AUDIO_HEADER: Final = 4
_TS_PACKET: Final = 188


def _iso_media(head: bytes) -> str | None:
    box = head[4:8]
    if box == b"ftyp":
        major = head[8:12]
        # A generic picture brand is told apart by the brands that it is compatible with.
        if major in (b"mif1", b"msf1") and b"avif" in head[16 : int.from_bytes(head[:4]) or 64]:
            return "image/avif"
        return next((mime for brand, mime in _BRANDS.items() if major.startswith(brand)), "video/mp4")
    # QuickTime before 2001 had no file type box.
    return "video/quicktime" if box in (b"moov", b"wide", b"mdat") else None


def _riff(head: bytes) -> str | None:
    if head[:4] not in (b"RIFF", b"RF64"):
        return None
    return {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo", b"WEBP": "image/webp"}.get(head[8:12])


def _matroska(head: bytes) -> str | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return "video/webm" if b"\x42\x82\x84webm" in head[:80] else "video/x-matroska"


def _ogg(head: bytes) -> str | None:
    if not head.startswith(b"OggS\0"):
        return None
    return "video/ogg" if b"\x80theora" in head[:512] else "audio/ogg"


def _mpeg_ts(head: bytes) -> str | None:
    starts = head[::_TS_PACKET][:5]
    return "video/mp2t" if len(starts) >= 3 and starts == b"G" * len(starts) else None


def _mpeg_audio(head: bytes) -> str | None:
    """MPEG audio without a tag: two frame headers where the first one says that the second is."""
    length = _frame_length(head)
    if not length:
        return None
    following = head[length : length + _MPEG_AUDIO_HEADER]
    # A single frame may be all that there is of a very short file.
    return "audio/mpeg" if len(head) == length or _frame_length(following) else None


_RATES_1: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_RATES_2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _frame_length(head: bytes) -> int:
    """Bytes of the layer III frame that starts here (ISO/IEC 11172-3, section 2.4.1.3); 0 where none does."""
    if len(head) < _MPEG_AUDIO_HEADER or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, rate, sampling, padding = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or rate in (0, 15) or sampling == 3:
        return 0
    kilobits = (_RATES_1 if version == 3 else _RATES_2)[rate]
    return (144 if version == 3 else 72) * kilobits * 1000 // _SAMPLES[version][sampling] + padding


def _adts(head: bytes) -> str | None:
    """AAC with ADTS headers: two of them where the first one says that the second is."""
    if len(head) < 7 or not _is_adts(head):
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return "audio/aac" if length > 7 and _is_adts(head[length : length + 2]) else None


def _is_adts(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def _bmp(head: bytes) -> str | None:
    # The two letters alone would take in many a text: the size of the second header must be a known one.
    known = int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124)
    return "image/bmp" if head.startswith(b"BM") and known else None


_MAGIC: Final = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"fLaC": "audio/flac",
    b"\0\0\1\xba": "video/mpeg",
    b"\0\0\1\xb3": "video/mpeg",
}


def _magic(head: bytes) -> str | None:
    return next((mime for magic, mime in _MAGIC.items() if head.startswith(magic)), None)


def _tagged(head: bytes) -> str | None:
    return behind_tag(head[id3.length(head) :]).mime if head.startswith(id3.MAGIC) else None


def behind_tag(content: bytes) -> MediaType:
    """The type of sound behind an ID3 tag: MP3, whose tag it is, where it is none of the others."""
    mime = "audio/flac" if content.startswith(b"fLaC") else _adts(content) or "audio/mpeg"
    return MEDIA_TYPES[mime]


_TESTS: Final[tuple[Callable[[bytes], str | None], ...]] = (
    _magic,
    _tagged,
    _iso_media,
    _riff,
    _matroska,
    _ogg,
    _mpeg_ts,
    _bmp,
    _mpeg_audio,
    _adts,
)


def sniff(head: bytes) -> MediaType:
    """The type of a file that starts with these bytes (16 KiB, or the whole of a shorter file).

    Raises:
        UnsupportedMediaTypeException: it is none of the accepted ones.
    """
    for test in _TESTS:
        if mime := test(head):
            return MEDIA_TYPES[mime]
    raise UnsupportedMediaTypeException(
        f"The file's content is none of the accepted types: {ACCEPTED}.",
        details={"accepted": sorted(MEDIA_TYPES)},
    )
