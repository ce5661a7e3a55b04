"""Password hashes: Argon2id in threads, as many at once as memory allows."""

import os
from base64 import b64encode
from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from app.core.config.groups import AuthSettings
from app.exceptions.base import ServiceUnavailableException

T = TypeVar("T")

AT_ONCE: Final = 2
"""Hashes that one process computes at a time; each takes ``PASSWORD_HASH_MEMORY``."""
MOST_WAITING: Final = 32
"""Hashes that wait for their turn. Whoever comes then would wait for seconds, and is told so at once."""
RETRY_AFTER: Final = {"Retry-After": "2"}


class Passwords:
    """Hashes and verifies.

    All that hashes or verifies raises a ServiceUnavailableException where too many wait already.

    Args:
        auth: memory and passes of one hash; stored hashes made with less are renewed at the next login.
    """

    def __init__(self, auth: AuthSettings) -> None:
        hasher = Argon2Hasher(time_cost=auth.password_passes, memory_cost=auth.password_memory, parallelism=1)
        self._hash = PasswordHash((hasher,))
        self._limiter: anyio.CapacityLimiter | None = None
        self._dummy = _nobodys(auth)

    async def hash(self, password: str) -> str:
        """The hash to store, in PHC form."""
        return await self._in_thread(self._hash.hash, password)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether a password fits, and a new hash to store where the old one was made with less.

        Without a stored hash the same work is done and the answer is no, so that time does not tell.
        """
        correct, renewed = await self._in_thread(self._verify, password, stored or self._dummy)
        return (correct, renewed) if stored else (False, None)

    def _verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        try:
            return self._hash.verify_and_update(password, stored)
        except UnknownHashError:
            return False, None

    async def _in_thread(self, work: Callable[..., T], *given: str) -> T:
        if self._limiter is None:
            # Belongs to the event loop, which is not there when the application is made.
            self._limiter = anyio.CapacityLimiter(AT_ONCE)
        if self._limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise ServiceUnavailableException(
                "Too many passwords are being checked at the moment. Try again shortly.", headers=RETRY_AFTER
            )
        return await anyio.to_thread.run_sync(work, *given, limiter=self._limiter)


def _nobodys(auth: AuthSettings) -> str:
    """A hash in PHC form that no password has, and that costs as much to verify as those of people."""
    salt, hashed = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={auth.password_memory},t={auth.password_passes},p=1${salt}${hashed}"
