"""What a bucket's refusals mean, in our own words."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obstore.exceptions import BaseError

from app.services.workspace.status import State, storage_error, unreadable

logger = logging.getLogger(__name__)

# Whole elements and statuses: an address with a key's digits is in the message too.
_FULL: Final = ("<Code>StorageFull</Code>", "<Code>QuotaExceeded</Code>")
_FULL_STATUS: Final = 507
_REDIRECT: Final = re.compile(r"\bredirect\b")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_PASSING: Final = frozenset({408, 425, 429})
"""Statuses of 4xx that say that it may go well the next time."""
_LONGEST: Final = 400


def state_of(error: Exception) -> State:
    """What an error of the library says of the bucket."""
    said = _first_line(error)
    status = int(found[1]) if (found := _STATUS.search(said)) else 0
    if status == _FULL_STATUS or any(word in said for word in _FULL):
        return State.FULL
    # A redirect comes of the wrong region.
    refused = (400 <= status < 500 and status not in _PASSING) or _REDIRECT.search(said) is not None
    return State.REFUSED if refused else State.UNREACHABLE


@contextmanager
def answered(*, reading: bool = False) -> Iterator[None]:
    """Turn the library's errors into the one that says what is wrong with the bucket.

    Args:
        reading: an object is looked for, so that "not found" passes through, and all else is "not now".
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        if reading and isinstance(error, FileNotFoundError):
            raise
        state = state_of(error)
        logger.error("bucket_failed", extra={"state": state, "error": _first_line(error)})
        raise (unreadable() if reading else storage_error(state)) from error


def _first_line(error: Exception) -> str:
    """Without the library's account of its own structures, which is long."""
    return str(error).partition("\n\nDebug source")[0][:_LONGEST]
