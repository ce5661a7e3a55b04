"""What can be done with the workspace, and the words for what cannot."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.exceptions.base import AppException, InsufficientStorageException, ServiceUnavailableException

logger = logging.getLogger(__name__)


class State(StrEnum):
    """What can be done with the workspace."""

    WRITABLE = "writable"
    MISSING = "missing"
    READ_ONLY = "read-only"
    FULL = "full"
    UNREACHABLE = "unreachable"
    """The bucket does not answer."""
    REFUSED = "refused"
    """The bucket is not there, or does not let us in."""


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """The workspace's state, with the free bytes of its file system (0 where it is missing)."""

    state: State
    free: int


MESSAGES: Final = {
    State.MISSING: "The workspace folder is missing. The operator must create it or mount its volume.",
    State.READ_ONLY: "The workspace is read-only. The operator must make it writable.",
    State.FULL: "The workspace is full. Delete files or try again later.",
    State.UNREACHABLE: "The object storage does not answer at the moment. Try again shortly.",
    State.REFUSED: "The object storage refuses us. The operator must check S3_BUCKET and its key.",
}

CAUSES: Final = {
    errno.ENOSPC: State.FULL,
    errno.EDQUOT: State.FULL,
    errno.EROFS: State.READ_ONLY,
    errno.EACCES: State.READ_ONLY,
    errno.EPERM: State.READ_ONLY,
    errno.ENOENT: State.MISSING,
    errno.ENOTDIR: State.MISSING,
}


def storage_error(state: State) -> AppException:
    """The error that a caller sees when the workspace cannot take a file: 507, or 503 where it may soon."""
    kind = ServiceUnavailableException if state is State.UNREACHABLE else InsufficientStorageException
    return kind(MESSAGES[state], details={"workspace": str(state)})


def unreadable() -> ServiceUnavailableException:
    """The error that a caller sees when a stored file cannot be had."""
    return ServiceUnavailableException(
        "The stored file cannot be read at the moment. The operator must check the workspace."
    )


@contextmanager
def explained() -> Iterator[None]:
    """Turn the system's errors into the one that says what is wrong with the workspace."""
    try:
        yield
    except OSError as error:
        logger.exception("workspace_failed", extra={"errno": error.errno})
        if error.errno == errno.EXDEV:
            message = "UPLOAD_DIR must be on the file system of the workspace."
            raise InsufficientStorageException(message) from error
        cause = CAUSES.get(error.errno or 0)
        raise (storage_error(cause) if cause else InsufficientStorageException()) from error


@contextmanager
def readable() -> Iterator[None]:
    """Turn the system's errors of reading into the one that says that the file cannot be had now."""
    try:
        yield
    except OSError as error:
        logger.exception("object_unreadable", extra={"errno": error.errno})
        raise unreadable() from error
