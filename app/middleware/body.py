"""Bounds what a client can make this system read: how much, and how slowly."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.exceptions.base import BadRequestException, PayloadTooLargeException, RequestTimeoutException

MOST_DIGITS: Final = 18
RATE_ALLOWANCE: Final = 10.0
"""Seconds of waiting for a body before its rate counts: a new connection starts slowly (RFC 5681)."""


def declared_length(scope: Scope) -> int | None:
    """Bytes of the body, 0 where there is none, None where only reading tells.

    Raises:
        BadRequestException: the length is said twice, or not as a number: what one program takes for the end
            of this request another could take for the start of the next (RFC 9112, section 11.2).
    """
    length: bytes | None = None
    is_chunked = False
    for name, value in scope["headers"]:
        if name == b"content-length":
            if length is not None or not value.isdigit():
                raise _ambiguous("Content-Length must be one number.")
            length = value
        elif name == b"transfer-encoding":
            is_chunked = True
    if length is None:
        # HTTP/2 and later need neither header.
        return None if is_chunked or not scope["http_version"].startswith("1") else 0
    if is_chunked:
        raise _ambiguous("Content-Length and Transfer-Encoding exclude each other.")
    return int(length) if len(length) <= MOST_DIGITS else 10**MOST_DIGITS


def _ambiguous(message: str) -> BadRequestException:
    return BadRequestException(message, headers={"Connection": "close"})


class BodyLimit:
    """Refuses bodies over the limit: by their declared length before a byte is read, else by count.

    Args:
        limit: bytes of a body.
        limits: bytes by method and path, where another limit holds; a path that ends with a slash stands for
            all that are one name longer.
    """

    def __init__(self, app: ASGIApp, limit: int, limits: Mapping[tuple[str, str], int]) -> None:
        self.app = app
        self.limit = limit
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http" or (length := declared_length(scope)) == 0:
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope["method"], scope["path"])
        if length is not None and length > limit:
            raise _too_large(limit)
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            return message

        await self.app(scope, receive_limited, send)

    def _limit(self, method: str, path: str) -> int:
        folder = path[: path.rfind("/") + 1]
        return self.limits.get((method, path)) or self.limits.get((method, folder)) or self.limit


def _too_large(limit: int) -> PayloadTooLargeException:
    return PayloadTooLargeException(f"The body may have {limit} bytes at most.", details={"limit": limit})


class BodyDeadline:
    """Refuses bodies that stop coming, or that drip.

    Args:
        idle: seconds without a byte.
        minimum_rate: bytes per second of waiting, on average, once ``allowance`` seconds were waited.
    """

    def __init__(
        self, app: ASGIApp, idle: float, minimum_rate: float, allowance: float = RATE_ALLOWANCE
    ) -> None:
        self.app = app
        self.idle = idle
        self.minimum_rate = minimum_rate
        self.allowance = allowance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http" or declared_length(scope) == 0:
            await self.app(scope, receive, send)
            return
        received, waited, is_whole = 0, 0.0, False

        async def receive_in_time() -> Message:
            nonlocal received, waited, is_whole
            if is_whole:  # what comes now is the end of the connection, which may take its time
                return await receive()
            before = monotonic()
            message = await self._receive(receive)
            # Only the time spent waiting counts: a busy disk of ours is not the sender's fault.
            waited += monotonic() - before
            received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if not is_whole and waited > self.allowance and received < waited * self.minimum_rate:
                raise RequestTimeoutException("The request body came too slowly.")
            return message

        await self.app(scope, receive_in_time, send)

    async def _receive(self, receive: Receive) -> Message:
        try:
            async with asyncio.timeout(self.idle):
                return await receive()
        except TimeoutError:
            raise RequestTimeoutException from None
