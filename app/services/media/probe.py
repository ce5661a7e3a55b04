"""What ffprobe says of a file, cut down to what is kept."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.services.media.types import Kind, MediaType

OUTPUT_LIMIT: Final = 4 * 1024 * 1024

MAXIMUM_STREAMS: Final = 64
_TAGS: Final = 32
_TEXT: Final = 500

PROTOCOLS: Final = "file"

# Decoders by ffmpeg's names: those of the accepted containers; no text and no script is among them.
CODECS: Final = ",".join(
    (
        "h264,hevc,vvc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg4,mpeg1video,mpeg2video,h263,h263i",
        "msmpeg4,msmpeg4v2,msmpeg4v1,theora,vp3,vp6,prores,dnxhd,cfhd,dvvideo,ffv1,huffyuv,ffvhuff,utvideo",
        "cinepak,svq1,svq3,rpza,rawvideo,qtrle,mjpeg,mjpegb,png,apng,gif,webp,webp_anim,bmp,tiff,jpeg2000",
        "aac,aac_fixed,aac_latm,mp3,mp3float,mp2,mp2float,mp1,mp1float,opus,libopus,vorbis,libvorbis,flac,alac",
        "ac3,ac3_fixed,eac3,dca,truehd,mlp,amrnb,amrwb,speex,libspeex,wavpack,wmav1,wmav2",
        "pcm_s8,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_s64le,pcm_f32le,pcm_f32be",
        "pcm_f64le,pcm_f64be,pcm_alaw,pcm_mulaw,pcm_dvd,pcm_bluray,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,gsm,gsm_ms",
    )
)

MAXIMUM_PIXELS: Final = 2**28
"""Pixels of one picture (16384 squared); a larger one is refused before memory is taken for it."""


_NOTHING: Final = "The file holds no picture and no sound that can be read."


class UnreadableError(Exception):
    """The file is damaged or holds nothing to see or to hear; the message is for its owner."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file holds.

    ``width`` and ``height`` in pixels as it is shown, turned by its orientation; ``duration`` in seconds;
    ``picture`` the number of the stream that a thumbnail can be made of, ``sound`` of the one to listen to;
    ``facts`` is JSON.
    """

    kind: Kind
    width: int | None
    height: int | None
    duration: float | None
    picture: int | None
    facts: dict[str, Any]
    sound: int | None = None


def input_options(media_type: MediaType) -> list[str]:
    """Options of both tools that come before the input: one container, known codecs, local files only."""
    return [
        *("-protocol_whitelist", PROTOCOLS),
        *("-format_whitelist", media_type.demuxer),
        *("-codec_whitelist", CODECS),
        *("-max_streams", str(MAXIMUM_STREAMS)),
        *("-max_pixels", str(MAXIMUM_PIXELS)),
        *("-f", media_type.demuxer),
    ]


def arguments(path: Path, media_type: MediaType) -> list[str]:
    """Arguments of ffprobe. Of a picture its first frame is read too, for it may hold the orientation."""
    frame = ["-show_frames", "-read_intervals", "%+#1"] if media_type.kind is Kind.IMAGE else []
    shown = ["-v", "error", "-print_format", "json", "-show_format", "-show_streams", *frame]
    return ["-hide_banner", *shown, *input_options(media_type), "-i", f"file:{path}"]


def parse(output: bytes, media_type: MediaType, head: bytes) -> Probe:
    """Read ffprobe's answer.

    Args:
        output: JSON.
        media_type: what the first bytes said.
        head: those bytes.

    Raises:
        UnreadableError: there is no picture and no sound in the file.
    """
    answer = json.loads(output)
    streams: list[dict[str, Any]] = answer.get("streams", [])[:MAXIMUM_STREAMS]
    container: dict[str, Any] = answer.get("format", {})
    pictures = [stream for stream in streams if stream.get("codec_type") == "video"]
    moving = [stream for stream in pictures if not stream.get("disposition", {}).get("attached_pic")]
    kind = _kind(media_type, moving, streams)
    shown = moving or pictures
    width, height = _size(shown[0], answer.get("frames", []), head) if moving else (None, None)
    if kind is Kind.IMAGE and width is None:
        raise UnreadableError(_NOTHING)
    facts = {"format": _chosen(container, _FORMAT), "streams": [_chosen(each, _STREAM) for each in streams]}
    return Probe(
        kind=kind,
        width=width,
        height=height,
        duration=None if kind is Kind.IMAGE else _duration(container, streams),
        picture=int(shown[0]["index"]) if shown else None,
        facts=facts,
        sound=None if kind is Kind.IMAGE else next((int(s["index"]) for s in streams if _is_sound(s)), None),
    )


def _kind(media_type: MediaType, moving: list[Any], streams: list[dict[str, Any]]) -> Kind:
    if moving:
        return Kind.IMAGE if media_type.kind is Kind.IMAGE else Kind.VIDEO
    if media_type.kind is not Kind.IMAGE and any(_is_sound(stream) for stream in streams):
        return Kind.AUDIO
    raise UnreadableError(_NOTHING)


def _is_sound(stream: Mapping[str, Any]) -> bool:
    # Demuxers that were told the type name a stream for anything; only one that was read has a rate.
    return stream.get("codec_type") == "audio" and _whole(stream.get("sample_rate")) is not None


def _size(stream: Mapping[str, Any], frames: list[Any], head: bytes) -> tuple[int | None, int | None]:
    width, height = _whole(stream.get("width")), _whole(stream.get("height"))
    if not width and head.startswith(b"\x89PNG") and len(head) >= 24:
        # An ffmpeg without zlib knows no PNG: its size stands in the first chunk (RFC 2083, section 4.1.1).
        width, height = struct.unpack(">II", head[16:24])
    if not width or not height:
        return None, None
    return (height, width) if _is_turned(stream, frames) else (width, height)


def _is_turned(stream: Mapping[str, Any], frames: list[Any]) -> bool:
    """Whether it is shown on its side, by a display matrix or by the Exif tag (CIPA DC-008, 4.6.4)."""
    frame = next((each for each in frames if isinstance(each, dict)), {})
    for data in [*stream.get("side_data_list", []), *frame.get("side_data_list", [])]:
        rotation = _number(data.get("rotation"))
        if rotation is not None:
            return round(rotation / 90) % 2 == 1
    return str(frame.get("tags", {}).get("Orientation", "")).strip() in {"5", "6", "7", "8"}


def _duration(container: Mapping[str, Any], streams: list[dict[str, Any]]) -> float | None:
    known = [_number(each.get("duration")) for each in (container, *streams)]
    return next((seconds for seconds in known if seconds is not None and seconds > 0), None)


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and 0 < number < 2**31 else None


_FORMAT: Final = frozenset(
    {"format_name", "format_long_name", "start_time", "duration", "bit_rate", "nb_streams", "tags"}
)
_STREAM: Final = frozenset(
    {
        "index",
        "codec_type",
        "codec_name",
        "codec_long_name",
        "profile",
        "width",
        "height",
        "sample_aspect_ratio",
        "display_aspect_ratio",
        "pix_fmt",
        "color_range",
        "color_space",
        "color_transfer",
        "color_primaries",
        "r_frame_rate",
        "avg_frame_rate",
        "nb_frames",
        "duration",
        "bit_rate",
        "sample_rate",
        "channels",
        "channel_layout",
        "tags",
    }
)


def _chosen(given: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in given.items() if name in names}


def _plain(value: Any) -> Any:
    """JSON that PostgreSQL takes (no NUL, no lone surrogate) and of bounded size."""
    if isinstance(value, dict):
        return {_plain(str(name)): _plain(each) for name, each in list(value.items())[:_TAGS]}
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()[:_TEXT]
    return value if isinstance(value, int | float | bool) else None
