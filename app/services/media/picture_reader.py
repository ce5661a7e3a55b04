"""Read one picture and draw it twice, small and large.

Started as a file of its own, behind the launcher's walls, by
``python -I -S -B picture_reader.py LIBRARIES PATH FORMAT PIXELS SIDE LARGE_SIDE LARGE_PATH``: the standard
library and Pillow only, nothing of the application. It answers on its standard output with one line of JSON
and, where that holds no ``problem``, a JPEG behind it; a larger one goes to a file. A traceback is a fault of
the installation, never of the picture.
"""

import errno
import io
import json
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any, cast

if __name__ == "__main__":
    # Without the module `site`, which would run what other packages put beside Pillow.
    sys.path.append(sys.argv[1])

from PIL import Image, ImageFile, UnidentifiedImageError

PLUGINS = {
    "AVIF": "AvifImagePlugin",
    "BMP": "BmpImagePlugin",
    "GIF": "GifImagePlugin",
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "TIFF": "TiffImagePlugin",
    "WEBP": "WebPImagePlugin",
}

ORIENTATION = 0x0112  # CIPA DC-008, 4.6.4
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
QUALITY = 82

# What a hostile picture can bring about is not among them, such as EINVAL by a place to seek to.
SYSTEM = (
    errno.EACCES,
    errno.EAGAIN,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOENT,
    errno.EPERM,
    errno.ESTALE,
)


class NoDecoderError(Exception):
    """This Pillow was built without what the picture needs."""


def load_plugin(name: str) -> None:
    """Import the one plugin; Pillow left to itself imports all of them."""
    plugin: Any = import_module(f"PIL.{PLUGINS[name]}")
    if not getattr(plugin, "SUPPORTED", True):
        raise NoDecoderError
    if name == "AVIF":
        # A thread for each processor would use up the address space of a large machine.
        plugin.DEFAULT_MAX_THREADS = 2


def read(path: str, name: str, side: int) -> tuple[dict[str, Any], Image.Image]:
    """What is known of the picture, and its first frame, upright, of at most ``side`` pixels a side."""
    load_plugin(name)
    with Image.open(path, formats=[name]) as picture:
        facts: dict[str, Any] = {"format": picture.format, "mode": picture.mode}
        (width, height), held = picture.size, orientation(picture)
        drawn = shrunk(picture, side)
        # What was small enough is not read yet.
        drawn.load()
        # Told twice: of TIFF the tag is gone once it is read, of PNG it may stand behind the picture.
        turn = orientation(picture)
        if turn in TURNS:
            drawn = drawn.transpose(TURNS[turn])
        if turn >= 5:
            width, height = height, width
        drawn = on_white(drawn)
        # Its comment would be written too, which may tell of people and places.
        drawn.info.clear()
        facts |= {
            "width": width,
            "height": height,
            "orientation": held if turn == 1 else turn,
            "frames": frames(picture),
        }
    return facts, drawn


def save(picture: Image.Image, side: int, large_path: str) -> bytes:
    """Write the picture to a file, and return it as a JPEG of at most ``side`` pixels a side."""
    picture.save(large_path, "JPEG", quality=QUALITY)
    picture.thumbnail((side, side))
    output = io.BytesIO()
    picture.save(output, "JPEG", quality=QUALITY)
    return output.getvalue()


def orientation(picture: ImageFile.ImageFile) -> int:
    """How the camera was held, 1 to 8; a broken Exif block spoils no picture."""
    if picture.format == "PNG" and "exif" not in picture.info:
        # Pillow would read all of it in search of a late block.
        return 1
    value = 1
    with suppress(Exception):
        value = int(picture.getexif().get(ORIENTATION, 1))
    return value if value in TURNS else 1


def shrunk(picture: ImageFile.ImageFile, side: int) -> Image.Image:
    """The picture with its longer side cut down, in a mode that can be scaled well."""
    small: Image.Image = picture
    if picture.mode[0] in "IF":
        small = picture.convert("F")
    elif picture.mode in ("1", "P", "PA") or (picture.mode in ("L", "RGB") and picture.has_transparency_data):
        small = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    sixteen = picture.mode.startswith("I;16")
    small.thumbnail((side, side))
    return grey(small, sixteen) if small.mode == "F" else small


def grey(picture: Image.Image, sixteen: bool) -> Image.Image:
    """Samples of more than eight bits as eight; those without a known range are stretched over it."""
    # One channel has one pair, which the types do not tell.
    low, high = (0.0, 65535.0) if sixteen else cast("tuple[float, float]", picture.getextrema())
    scale = 255 / (high - low) if high > low else 1.0
    return picture.point(lambda sample: sample * scale - low * scale).convert("L")


def on_white(picture: Image.Image) -> Image.Image:
    """What a JPEG can hold: no transparency, three colours."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    front = picture.convert("RGBA")
    white = Image.new("RGBA", front.size, "white")
    return Image.alpha_composite(white, front).convert("RGB")


def frames(picture: ImageFile.ImageFile) -> int | None:
    """How many pictures there are; None where what follows the first one is broken."""
    try:
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # noqa: BLE001 - a plugin may raise anything, and the first picture is sound
        return None


def problem_of(error: BaseException) -> dict[str, str]:
    """What to answer instead of a picture."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return {"problem": "large"}
    if isinstance(error, MemoryError):
        return {"problem": "memory"}
    if isinstance(error, NoDecoderError) or "not available" in str(error):
        return {"problem": "decoder"}
    if isinstance(error, UnidentifiedImageError):
        # Its own words hold the path.
        return {"problem": "broken", "said": "no picture was found in it"}
    if isinstance(error, OSError) and error.errno in SYSTEM:
        return {"problem": "system", "said": str(error)}
    return {"problem": "broken", "said": str(error)}


def main(arguments: list[str]) -> None:
    """Read the picture and answer."""
    path, name, pixels, side, large_side, large_path = arguments
    Image.MAX_IMAGE_PIXELS = int(pixels)
    # Up to twice the limit is but a warning.
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    picture = b""
    try:
        answer, drawn = read(path, name, int(large_side))
        picture = save(drawn, int(side), large_path)
    except Exception as error:  # noqa: BLE001 - decoders of hostile files raise anything
        answer = problem_of(error)
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + picture)


if __name__ == "__main__":
    main(sys.argv[2:])
