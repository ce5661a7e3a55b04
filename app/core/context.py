"""What the current request or job is, for logs, task headers and SQL comments."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import uuid_utils

request_id: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
job_id: Final[ContextVar[str | None]] = ContextVar("job_id", default=None)
user_id: Final[ContextVar[str | None]] = ContextVar("user_id", default=None)

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    """A fresh request id: a UUID version 4 in its usual form."""
    return str(uuid_utils.uuid4())


def accept_request_id(given: str | None) -> str:
    """The given id if it is 1 to 64 of ``A-Z a-z 0-9 . _ -``, else a fresh one; it goes into logs and SQL."""
    return given if given is not None and _WELL_FORMED.fullmatch(given) else new_request_id()


@contextmanager
def bound(variable: ContextVar[str | None], value: str | None) -> Iterator[None]:
    """Set a context variable for a block and put the old value back after it."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
