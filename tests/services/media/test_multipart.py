"""The file in a form, as it streams in."""

import itertools
from collections.abc import AsyncIterator

import pytest

from app.exceptions.base import BadRequestException, PayloadTooLargeException
from app.services.media.multipart import MAXIMUM_OTHER, MultipartFile, boundary_of

BOUNDARY = b"----edge"


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'Content-Disposition: form-data; name="{name}"{named}\r\nContent-Type: video/mp4\r\n\r\n'
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + data + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"


async def chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int = 7) -> tuple[str | None, bytes]:
    file = MultipartFile(BOUNDARY, chunks(body, size))
    data = b"".join([piece async for piece in file])
    return file.filename, data


@pytest.mark.parametrize("size", [1, 2, 3, 64, 10_000])
async def test_the_file_is_the_same_however_the_body_is_cut(size: int) -> None:
    data = b"\r\n--" + BOUNDARY[:-1] + b"\r\n\0\xff" * 20
    body = part("note", b"hello") + part("file", data, "a.mp4") + part("after", b"x") + END
    assert await read(body, size) == ("a.mp4", data)


async def test_pieces_are_passed_on_before_the_body_is_complete() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield part("file", b"", "a.mp4")[:-2]
        for _ in itertools.count():
            yield b"x" * 1000

    file = MultipartFile(BOUNDARY, endless())
    pieces = aiter(file)
    assert await anext(pieces) == b"x" * 1000
    assert file.filename == "a.mp4"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("日本語.mp4", "日本語.mp4"),
        ("a%22b.mp4", 'a"b.mp4'),
        ("a%0D%0Ab.mp4", "ab.mp4"),
        ("", ""),
    ],
)
async def test_the_name_is_read_as_browsers_write_it(sent: str, name: str) -> None:
    assert (await read(part("file", b"x", sent) + END))[0] == name


async def test_a_name_that_is_no_utf_8_is_read_as_latin_1() -> None:
    body = part("file", b"x", "caf@.mp4").replace(b"@", b"\xe9") + END
    assert (await read(body))[0] == "café.mp4"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (part("other", b"x", "a.mp4") + END, "has no file"),
        (part("file", b"x") + END, "not a file"),
        (part("file", b"x", "a") + part("file", b"x", "b") + END, "several"),
        (part("file", b"x", "a"), "ends before"),
        (b"", "ends before"),
        (b"{}", "malformed"),
        (b"--" + BOUNDARY + b"\r\n" + b"X: y\r\n" * 20 + b"\r\n", "malformed"),
        (b"--" + BOUNDARY + b"\r\nX: " + b"y" * 10_000, "malformed"),
    ],
)
async def test_a_body_that_is_not_one_file_is_refused_with_its_fault(body: bytes, message: str) -> None:
    with pytest.raises(BadRequestException, match=message):
        await read(body)


async def test_much_beside_the_file_is_refused() -> None:
    with pytest.raises(PayloadTooLargeException, match="beside its file"):
        await read(part("note", b"x" * (MAXIMUM_OTHER + 1)) + part("file", b"x", "a") + END, 4096)


@pytest.mark.parametrize("kind", ["", "video/mp4", "application/json", "multipart/mixed; boundary=x"])
def test_other_bodies_are_no_forms(kind: str) -> None:
    assert boundary_of(kind) is None


def test_the_boundary_is_found() -> None:
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 71])
def test_a_form_without_a_proper_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(BadRequestException, match="boundary"):
        boundary_of("multipart/form-data" + boundary)
