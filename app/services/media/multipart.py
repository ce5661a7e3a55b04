"""The file of a ``multipart/form-data`` body (RFC 7578), passed on as it arrives."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.exceptions.base import BadRequestException, PayloadTooLargeException

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD: Final = "file"

MAXIMUM_OTHER: Final = 64 * 1024
"""Bytes of boundaries, headers and fields other than the file."""

_PART_HEADERS: Final = 8
_HEADER_SIZE: Final = 4096
_BOUNDARY_SIZE: Final = 70  # RFC 2046, section 5.1.1


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart form; None where the body is something else.

    Raises:
        BadRequestException: it is a form without a proper boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _BOUNDARY_SIZE:
        raise BadRequestException("The multipart body names no proper boundary in its Content-Type.")
    return boundary


class MultipartFile:
    """Iterate it for the bytes of the part named ``file``; then ``filename`` says what it was called.

    Args:
        boundary: as ``boundary_of`` gives it.
        body: the body's chunks as they arrive.

    Raises (while it is iterated):
        BadRequestException: the body is malformed, ends early, or has no file or several.
        PayloadTooLargeException: the fields beside the file are too large.
    """

    def __init__(self, boundary: bytes, body: AsyncIterable[bytes]) -> None:
        self.filename: str | None = None
        self._body = body
        self._found = False
        self._in_file = False
        self._ended = False
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._ready: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            self._callbacks(),
            max_header_count=_PART_HEADERS,
            max_header_size=_HEADER_SIZE,
        )

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._take_name,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take_data,
            "on_end": self._end,
        }

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = passed = 0
        async for chunk in self._body:
            received += len(chunk)
            for piece in self._pieces(chunk):
                passed += len(piece)
                yield piece
            if received - passed > MAXIMUM_OTHER:
                raise PayloadTooLargeException(
                    f"The form has more than {MAXIMUM_OTHER} bytes beside its file.",
                    details={"limit": MAXIMUM_OTHER},
                )
        if not self._ended:
            raise BadRequestException("The multipart body ends before its closing boundary.")
        if not self._found:
            raise BadRequestException(
                f'The form has no file: send one part named "{FIELD}" that has a filename.',
                details={"field": FIELD},
            )

    def _pieces(self, chunk: bytes) -> list[bytes]:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BadRequestException("The multipart body is malformed.") from error
        ready, self._ready = self._ready, []
        return ready

    def _begin_part(self) -> None:
        self._headers, self._name, self._value, self._in_file = {}, b"", b"", False

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end_headers(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition.decode("latin-1"))
        if options.get(b"name") != FIELD.encode():
            return
        if self._found:
            raise BadRequestException(f'The form has several parts named "{FIELD}": send one file a request.')
        if b"filename" not in options:
            raise BadRequestException(f'The part named "{FIELD}" is not a file: give it a filename.')
        self._found = self._in_file = True
        self.filename = _filename(options[b"filename"])

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._ready.append(data[start:end])

    def _end(self) -> None:
        self._ended = True


def _filename(raw: bytes) -> str:
    """The name as browsers send it: UTF-8, with quotes and line breaks as percent escapes (HTML standard)."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = raw.decode("latin-1")
    return name.replace("%22", '"').replace("%0D", "").replace("%0A", "")
