"""Memory that a worker's parent shares with its children: is it draining, and which child runs a live job.

One number a child, each written by that child alone: no lock is needed that a killed child could keep.
"""

import mmap
import os
import struct
import time
from typing import Final

_NUMBER: Final = struct.Struct("d")
_SPARE: Final = 16
"""Places beyond the concurrency, for a pool that is grown by hand."""


class Board:
    """Place 0 says that the worker drains; place n + 1 when child n last proved that it holds its job."""

    def __init__(self, children: int) -> None:
        self.children: Final = children
        self._maker = os.getpid()
        self._places = children + _SPARE
        # Anonymous and shared: what is forked after this sees the same pages.
        self._memory = mmap.mmap(-1, _NUMBER.size * (self._places + 1))

    @property
    def draining(self) -> bool:
        """Whether the worker takes no more jobs."""
        return self._read(0) > 0

    def drain(self) -> None:
        """Take no more jobs; those that run go on."""
        self._write(0, 1.0)

    @property
    def is_orphaned(self) -> bool:
        """Whether the process that made the board is gone, and this one is its child."""
        return self._maker not in {os.getpid(), os.getppid()}

    def live(self, child: int) -> None:
        """A child proves that it serves, and still holds the job that it may have."""
        # CLOCK_MONOTONIC is one for all processes of a machine.
        self._write(self._place(child), time.monotonic())

    def idle(self, child: int) -> None:
        """A child serves nothing."""
        self._write(self._place(child), 0.0)

    def serving(self) -> int:
        """How many children serve."""
        return sum(1 for place in range(1, self._places + 1) if self._read(place) > 0)

    def all_live(self, *, within: float) -> bool:
        """Whether every child has proved within so many seconds that it serves."""
        oldest = time.monotonic() - within
        live = sum(1 for place in range(1, self._places + 1) if self._read(place) > oldest)
        return live >= self.children

    def _place(self, child: int) -> int:
        return 1 + child % self._places

    def _read(self, place: int) -> float:
        (number,) = _NUMBER.unpack_from(self._memory, place * _NUMBER.size)
        return float(number)

    def _write(self, place: int, number: float) -> None:
        _NUMBER.pack_into(self._memory, place * _NUMBER.size, number)


_boards: Final[list[Board]] = []


def share(children: int) -> Board:
    """Make the board of this worker; its parent does so before it forks."""
    _boards[:] = [Board(children)]
    return _boards[0]


def shared() -> Board:
    """The board of this worker; one of its own for a process that no worker has forked."""
    return _boards[0] if _boards else share(1)
