"""Real pictures through the real reader, behind its walls."""

import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.services.media import launcher, pictures, stills
from app.services.media.probe import Probe, UnreadableError
from app.services.media.run import (
    Limits,
    ToolFailedError,
    ToolHinderedError,
    ToolLimitError,
    held_open,
    run_tool,
)
from app.services.media.tools import ToolMissingError
from app.services.media.types import MEDIA_TYPES, Kind, MediaType, sniff
from app.services.workspace.incoming import HEAD
from tests.samples import Samples, drawn, oriented, saved
from tests.services.media.test_run import confined

MIB = 1024 * 1024
LIMITS = Limits(seconds=60, memory=2048 * MIB, output=stills.OUTPUT_LIMIT, file_size=stills.LARGE_LIMIT)
FORMS = sorted(pictures.FORMATS.values())

Read = Callable[..., Awaitable[tuple[Probe, bytes]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    folder = tmp_path / "work"
    folder.mkdir()

    async def run(
        data: bytes, media_type: MediaType | None = None, limits: Limits = LIMITS
    ) -> tuple[Probe, bytes]:
        path = tmp_path / "picture"
        path.write_bytes(data)
        with held_open(path) as file:
            found, drawn = await pictures.read(
                file, media_type or sniff(data[:HEAD]), folder=folder, limits=limits
            )
        return found, drawn.small

    return run


def opened(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg), formats=["JPEG"])


def colour(jpeg: bytes) -> tuple[int, ...]:
    pixel = opened(jpeg).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def near(wanted: tuple[int, int, int]) -> Any:
    return pytest.approx(wanted, abs=4)


@pytest.mark.parametrize("form", FORMS)
async def test_a_picture_of_every_format_is_made_smaller(read: Read, form: str) -> None:
    found, thumbnail = await read(drawn(form))
    assert (found.kind, found.width, found.height, found.duration) == (Kind.IMAGE, 640, 360, None)
    assert found.facts["format"] == {"format_name": form}
    assert found.facts["picture"] | {"mode": ""} == {
        "mode": "",
        "width": 640,
        "height": 360,
        "orientation": 1,
        "frames": 1,
    }
    assert opened(thumbnail).size == (480, 270)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("form", FORMS)
async def test_a_truncated_picture_is_damaged(read: Read, form: str, share: float) -> None:
    data = drawn(form)
    with pytest.raises(ToolFailedError, match=r"truncated|no picture was found|could not create decoder"):
        await read(data[: int(len(data) * share)])


async def test_a_picture_of_noise_behind_a_good_header_is_damaged(read: Read) -> None:
    data = drawn("PNG")
    with pytest.raises(ToolFailedError):
        await read(data[:60] + bytes(range(256)) * 100)


@pytest.mark.parametrize("form", FORMS)
async def test_a_picture_of_one_pixel_keeps_its_size(read: Read, form: str) -> None:
    found, thumbnail = await read(saved(Image.new("RGB", (1, 1), "red"), form))
    assert (found.width, found.height) == (1, 1)
    assert opened(thumbnail).size == (1, 1)


async def test_a_picture_of_one_line_keeps_a_line(read: Read) -> None:
    assert opened((await read(saved(Image.new("L", (9000, 1)), "PNG")))[1]).size == (480, 1)


@pytest.mark.parametrize("size", [(20_000, 20_000), (10_001, 10_000)])
async def test_a_decompression_bomb_is_refused_with_the_limit(read: Read, size: tuple[int, int]) -> None:
    bomb = saved(Image.new("1", size), "PNG")
    assert len(bomb) < MIB
    with pytest.raises(UnreadableError, match="more than 100 million pixels"):
        await read(bomb)


async def test_the_largest_picture_fits_into_the_memory_of_a_tool(read: Read) -> None:
    largest = saved(Image.new("RGBA", (10_000, 10_000)), "PNG", compress_level=1)
    assert opened((await read(largest))[1]).size == (480, 480)


async def test_a_picture_that_needs_too_much_memory_is_unreadable(read: Read) -> None:
    little = Limits(seconds=60, memory=256 * MIB, output=MIB)
    with pytest.raises(UnreadableError, match="too much memory"):
        await read(saved(Image.new("RGB", (10_000, 10_000)), "PNG", compress_level=1), None, little)


async def test_a_picture_that_takes_too_long_is_given_up(read: Read) -> None:
    with pytest.raises(ToolLimitError):
        await read(drawn("PNG"), None, Limits(seconds=0.001, memory=LIMITS.memory, output=MIB))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
async def test_a_picture_that_the_camera_turned_is_shown_upright(read: Read, form: str) -> None:
    lying = Image.new("RGB", (640, 360), "blue")
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.paste("red", (0, 0, 640, 180))  # what is on top of it is right when it is upright
    found, thumbnail = await read(saved(lying, form, exif=exif))
    assert (found.width, found.height, found.facts["picture"]["orientation"]) == (360, 640, 6)
    assert opened(thumbnail).size == (270, 480)
    assert opened(thumbnail).getpixel((260, 240)) == near((254, 0, 0))
    assert opened(thumbnail).getpixel((10, 240)) == near((0, 0, 254))


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_each_way_to_hold_a_camera_shows_the_same_corner(read: Read, orientation: int) -> None:
    upright = Image.new("RGB", (320, 160), "white")
    upright.paste("red", (0, 0, 160, 80))
    # What undoes each turn; a quarter turn is undone by the other one.
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    held = upright.transpose(Image.Transpose(undone[orientation])) if orientation in undone else upright
    found, thumbnail = await read(oriented(saved(held, "JPEG", quality=95), orientation))
    assert (found.width, found.height) == (320, 160)
    assert opened(thumbnail).getpixel((40, 20)) == near((254, 0, 0))
    assert opened(thumbnail).getpixel((280, 140)) == near((255, 255, 255))


@pytest.mark.parametrize("value", [0, 9, 40_000])
async def test_an_orientation_that_is_none_is_left_out(read: Read, value: int) -> None:
    found, _ = await read(oriented(drawn("JPEG"), value))
    assert (found.width, found.facts["picture"]["orientation"]) == (640, 1)


async def test_a_broken_exif_block_spoils_no_picture(read: Read) -> None:
    found, _ = await read(drawn("JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken"))
    assert (found.width, found.facts["picture"]["orientation"]) == (640, 1)


@pytest.mark.parametrize(
    ("mode", "clear", "form"),
    [
        ("RGBA", (255, 0, 0, 0), "PNG"),
        ("RGBA", (255, 0, 0, 0), "WEBP"),
        ("RGBA", (255, 0, 0, 0), "AVIF"),
        ("LA", (0, 0), "PNG"),
    ],
)
async def test_what_is_transparent_is_shown_on_white(read: Read, mode: str, clear: Any, form: str) -> None:
    _, thumbnail = await read(saved(Image.new(mode, (640, 360), clear), form, lossless=True))
    assert colour(thumbnail) == near((255, 255, 255))


@pytest.mark.parametrize(
    ("mode", "given", "key", "form"),
    [("RGB", (1, 2, 3), (1, 2, 3), "PNG"), ("L", 5, 5, "PNG"), ("P", 0, 0, "PNG"), ("P", 0, 0, "GIF")],
)
async def test_a_colour_that_stands_for_nothing_is_shown_white(
    read: Read, mode: str, given: Any, key: Any, form: str
) -> None:
    _, thumbnail = await read(saved(Image.new(mode, (640, 360), given), form, transparency=key))
    assert colour(thumbnail) == near((255, 255, 255))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
async def test_sixteen_bits_of_grey_are_scaled_and_not_cut_off(read: Read, form: str) -> None:
    _, thumbnail = await read(saved(Image.new("I;16", (640, 360), 32_896), form))
    assert colour(thumbnail) == near((128, 128, 128))


@pytest.mark.parametrize("mode", ["I", "F"])
async def test_samples_without_a_known_range_are_stretched(read: Read, mode: str) -> None:
    picture = Image.new(mode, (640, 360), 1_000)
    picture.paste(3_000, (320, 0, 640, 360))
    _, thumbnail = await read(saved(picture, "TIFF"))
    assert opened(thumbnail).getpixel((40, 40)) == near((0, 0, 0))
    assert opened(thumbnail).getpixel((440, 40)) == near((255, 255, 255))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
async def test_of_many_pictures_the_first_is_shown_and_all_are_counted(read: Read, form: str) -> None:
    first, *others = (Image.new("RGB", (64, 64), name) for name in ("red", "green", "blue"))
    found, thumbnail = await read(saved(first, form, save_all=True, append_images=others))
    assert found.facts["picture"]["frames"] == 3
    assert colour(thumbnail) == near((254, 0, 0))


async def test_colours_for_print_become_colours_for_a_screen(read: Read) -> None:
    _, thumbnail = await read(saved(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG"))
    assert opened(thumbnail).mode == "RGB"
    assert colour(thumbnail) == near((254, 0, 0))


async def test_nothing_of_the_original_but_its_pixels_is_in_the_thumbnail(read: Read) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    _, thumbnail = await read(drawn("JPEG", exif=exif, comment="where I live"))
    assert b"where I live" not in thumbnail
    assert b"Exif" not in thumbnail


async def test_a_picture_is_read_as_its_own_type_and_as_no_other(read: Read) -> None:
    for mime in sorted(pictures.FORMATS.keys() - {"image/png"}):
        with pytest.raises(ToolFailedError):
            await read(drawn("PNG"), MEDIA_TYPES[mime])


async def test_a_script_in_a_format_that_nobody_asked_for_is_not_run(read: Read) -> None:
    with pytest.raises(ToolFailedError, match="no picture was found"):
        await read(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", MEDIA_TYPES["image/png"])


def test_every_picture_but_heic_has_a_reader() -> None:
    of_pictures = {mime for mime, each in MEDIA_TYPES.items() if each.kind is Kind.IMAGE}
    assert of_pictures - pictures.FORMATS.keys() == {"image/heic"}


@confined
async def test_the_reader_reads_no_file_but_its_picture_and_its_libraries(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "another.png"
    other.write_bytes(drawn("PNG"))
    assert launcher.landlock_version() > 0

    async def astray(program: Path, arguments: list[str], **options: Any) -> bytes:
        path = str(options["reads"].path)
        return await run_tool(
            program, [str(other) if each == path else each for each in arguments], **options
        )

    monkeypatch.setattr(pictures, "run_tool", astray)
    with pytest.raises(ToolHinderedError, match="Permission denied"):
        await read(drawn("PNG"))


async def test_without_pillow_the_operator_is_told_what_to_install(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda _name: None)
    with pytest.raises(ToolMissingError, match="Pillow is not installed"):
        await read(drawn("PNG"))


async def test_a_pillow_that_cannot_be_loaded_is_no_fault_of_the_picture(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_libraries", lambda: tmp_path / "none")
    with pytest.raises(ToolMissingError, match="No module named 'PIL'"):
        await read(drawn("PNG"))


async def test_a_pillow_that_fails_to_load_for_want_of_memory_is_tried_again(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **_options: Any) -> bytes:
        words = "Traceback (most recent call last):\n  import PIL\nMemoryError\n"
        raise ToolFailedError("Traceback (most recent call last):", words)

    monkeypatch.setattr(pictures, "run_tool", fail)
    with pytest.raises(ToolHinderedError, match="MemoryError"):
        await read(drawn("PNG"))


async def test_a_pillow_without_the_decoder_leaves_the_picture_to_others(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_: Any, **_options: Any) -> bytes:
        return json.dumps({"problem": "decoder"}).encode() + b"\n"

    monkeypatch.setattr(pictures, "run_tool", answer)
    with pytest.raises(pictures.NoDecoderError):
        await read(drawn("AVIF"))


@pytest.mark.parametrize("name", ["picture.jpg", "picture.gif", "picture.bmp", "picture.tiff", "turned.jpg"])
async def test_what_another_program_made_is_read_too(read: Read, samples: Samples, name: str) -> None:
    found, thumbnail = await read(samples.data(name))
    assert (found.width, found.height) == (640, 360)
    assert opened(thumbnail).size == (480, 270)
