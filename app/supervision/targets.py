"""Where the stack's lines can go: a descriptor such as standard output, or a rotated file."""

import os
import select
from pathlib import Path
from typing import Final, Protocol

_POLL_MILLISECONDS: Final = 200


class Target(Protocol):
    """Where lines go. Used by the writer's thread alone."""

    def ready(self) -> bool:
        """Wait a moment at most, and say whether ``write`` would not block."""

    def write(self, data: bytes) -> None:
        """Write all of it, or raise OSError."""

    def close(self) -> None:
        """Let go of what was opened."""


class Descriptor:
    """An open file descriptor of somebody else's, standard output most of all.

    It stays in blocking mode, for it may be shared with the shell that started us; a pipe that can be
    written to takes PIPE_BUF bytes at once (POSIX, poll and write).
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def ready(self) -> bool:
        """Whether there is room; a broken pipe counts as room, the write tells."""
        return bool(self._poll.poll(_POLL_MILLISECONDS))

    def write(self, data: bytes) -> None:
        """Write all of it."""
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Leave it open: it is not ours."""


class RotatingFile:
    """A log file that is turned over when it is full: ``name``, ``name.1``, ``name.2``."""

    def __init__(self, path: Path, *, max_bytes: int = 10 * 1024 * 1024, files: int = 3) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._descriptor = -1
        self._size = 0

    def ready(self) -> bool:
        """Whether it can be written; a disk is always ready."""
        return True

    def write(self, data: bytes) -> None:
        """Write all of it, into a new file where the old one would grow too large."""
        if self._descriptor < 0:
            self._open()
        elif self._size + len(data) > self._max_bytes:
            self._turn_over()
        self._size += len(data)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Close it; the next write opens it again, under its name of then."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        # What is logged may be personal: readable by its owner only.
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _turn_over(self) -> None:
        self.close()
        for number in range(self._files - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        self._open()
