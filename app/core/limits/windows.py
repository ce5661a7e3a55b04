"""Limits and their windows."""

from dataclasses import dataclass
from typing import Self
from zlib import crc32

import limits


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of time in which one key is counted; ``end`` in seconds since 1970."""

    name: str
    start: float
    end: float

    def left(self, now: float) -> int:
        """Whole seconds until it ends, at least 1: what ``Retry-After`` says."""
        return max(1, int(self.end - now + 0.999))


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many in a window of so many seconds."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The limit in a text such as ``300/minute``.

        Raises:
            ValueError: it is none.
        """
        item = limits.parse(text)
        return cls(item.amount, item.get_expiry())

    def longer(self, times: int, *, amount: int | None = None) -> "Limit":
        """A limit over a longer window, of the same amount or another."""
        return Limit(amount or self.amount, self.seconds * times)

    def window(self, key: str, now: float) -> Window:
        """The window of a key at a time: the same in every process, without a question to any.

        Each key's windows begin at a time of its own, so that not everybody comes back in the same second.
        """
        offset = crc32(key.encode()) % self.seconds
        number = int((now - offset) // self.seconds)
        start = number * self.seconds + offset
        return Window(f"{key}:{self.seconds}:{number}", start, start + self.seconds)
