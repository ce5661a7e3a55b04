"""Turns what a child writes, in pieces of any size, into JSON lines."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

from app.core.logging import LINE_LIMIT, encode_line, timestamp
from app.core.masking import mask, mask_text
from app.supervision.foreign import plain, read_level, starts_traceback

LONGEST: Final = 64 * 1024
"""Bytes of an unfinished line that are kept; a child that never ends its line cannot fill the memory."""

_RECORD_LINES: Final = 200


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")  # RFC 8259, section 6: no NaN, no infinities


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)


def parse_object(line: bytes) -> dict[str, Any] | None:
    """The line as a JSON object, or None where it is anything else."""
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return None
    try:
        value = _DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class LineStream:
    """One channel of one process. Lines come out whole, in order, each a JSON object under the limit."""

    def __init__(self, name: str, channel: str) -> None:
        self._name = name
        self._channel = channel
        self._rest = b""
        self._held: list[str] = []
        self._held_pid = 0
        self._in_traceback = False
        self._fresh = False

    def feed(self, pid: int, data: bytes) -> Iterator[bytes]:
        """Take a piece of output and give every record that is complete with it."""
        self._fresh = True
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LONGEST]
        for line in whole:
            yield from self._line(pid, line.rstrip(b"\r"))
        if not self._in_traceback:
            yield from self._release()

    def flush(self, pid: int) -> Iterator[bytes]:
        """Give everything that is held back: the process has ended."""
        rest, self._rest = self._rest, b""
        yield from self._line(pid, rest)
        yield from self._release()

    def settle(self) -> Iterator[bytes]:
        """Give an unfinished traceback when nothing came since the last call; an unfinished line stays."""
        if not self._fresh:
            yield from self._release()
        self._fresh = False

    def _line(self, pid: int, line: bytes) -> Iterator[bytes]:
        if fields := parse_object(line):
            yield from self._release()
            yield line + b"\n" if len(line) < LINE_LIMIT else encode_line(mask(fields))
            return
        text = plain(line.decode("utf-8", "replace"))
        if text:
            yield from self._join(pid, text)

    def _join(self, pid: int, text: str) -> Iterator[bytes]:
        """Put tracebacks together, and the lines that PostgreSQL indents by a tab with their first one."""
        inner = text[0] in " \t"
        if self._in_traceback and len(self._held) < _RECORD_LINES:
            self._held.append(text)
            if not inner:
                yield from self._release()
            return
        if self._held and text[0] == "\t":
            self._held.append(text)
            return
        yield from self._release()
        self._held, self._held_pid = [text], pid
        self._in_traceback = starts_traceback(text)

    def _release(self) -> Iterator[bytes]:
        if self._held:
            text = "\n".join(self._held)
            self._held, self._in_traceback = [], False
            level, message = read_level(text, self._channel)
            yield encode_line(
                {
                    "timestamp": timestamp(time.time()),
                    "level": level,
                    "message": mask_text(message),
                    "logger": self._name,
                    "process": self._held_pid,
                    "channel": self._channel,
                }
            )
