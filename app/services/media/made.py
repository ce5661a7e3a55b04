"""What a tool made, opened by a worker that trusts neither the tool nor the folder that it wrote to."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from app.services.media.probe import UnreadableError
from app.services.media.run import ToolFailedError

_NO_FILE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM})
"""How the system refuses a link, a socket, a device, and a file that its maker closed to all."""


@contextmanager
def made(path: Path, *, otherwise: str = "it wrote nothing") -> Iterator[BinaryIO]:
    """Open the file that a tool was to write; never another one, and never waiting for what is none.

    Args:
        path: where.
        otherwise: what to say where there is none.

    Raises:
        ToolFailedError: it wrote nothing.
        UnreadableError: it left something else than a file of its own there.
        OSError: the system was in the way.
    """
    descriptor = _open(path, otherwise)
    try:
        facts = os.fstat(descriptor)
        # A second name may be that of another's file.
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise _misled()
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _open(path: Path, otherwise: str) -> int:
    try:
        # Without O_NONBLOCK a pipe keeps whoever opens it until somebody writes.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ToolFailedError(otherwise) from error
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _misled() from error
        raise


def _misled() -> UnreadableError:
    return UnreadableError(
        "The file cannot be processed: it leads its reader astray, which left something else than a file."
    )
