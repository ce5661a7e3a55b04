"""Ends requests that were answered before their body was read."""

import asyncio
from math import inf
from time import monotonic
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.middleware.body import MOST_DIGITS
from app.middleware.draining import CLOSE

SHORT: Final = 64 * 1024
"""Bytes of a body that is rather read to its end than made the end of its connection."""
GLANCE: Final = 0.05
"""Seconds that the rest of a short body may take; most often it is here already."""
LINGER: Final = 2.0
"""Seconds in which a client that still sends can read the answer; after it the connection is cut."""


class UnreadBody:
    """Throws away what is left of a body, for a bounded time, and then closes the connection.

    Closing at once would reset the connection under a client that still sends, and take from it the answer
    that says why (RFC 9112, section 9.6). Not to read on is no better: Hypercorn waits for ever for a
    reader of its full queue.
    """

    def __init__(self, app: ASGIApp, glance: float = GLANCE, linger: float = LINGER) -> None:
        self.app = app
        self.glance = glance
        self.linger = linger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http" or (length := _body_length(scope)) == 0:
            await self.app(scope, receive, send)
            return
        body = _Body(receive)
        start: Message | None = None

        async def send_last(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                # Held back until it is known whether this is all of the answer: only then is the body over.
                start = message
                return
            is_end = not message.get("more_body", False)
            if is_end and length <= SHORT:
                await body.discard(self.glance)
            if start is not None:
                await send(start if body.is_over else _closing(start))
                start = None
            if is_end and not body.is_over:
                await self._part(message, body, send)
            else:
                await send(message)

        await self.app(scope, body.receive, send_last)

    async def _part(self, message: Message, body: "_Body", send: Send) -> None:
        """Send the whole answer, linger, and end it while the body is still being thrown away."""
        await send({**message, "more_body": True})
        await body.discard(self.linger)
        discarding = asyncio.create_task(body.discard(self.linger))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        await discarding


class _Body:
    """A request's body, and whether it is over: read to its end, or its sender gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_over = False

    async def receive(self) -> Message:
        """The next message of the server."""
        message = await self._receive()
        self.is_over = not message.get("more_body", False)
        return message

    async def discard(self, seconds: float) -> None:
        """Throw away what comes, until it is over or the time is up."""
        deadline = monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                # The clock too: where something is always there, nothing waits and no timeout strikes.
                while not self.is_over and monotonic() < deadline:
                    await self.receive()
        except TimeoutError:
            return


def _body_length(scope: Scope) -> float:
    """Bytes of the body as declared, infinite where they are not; ``body`` tells what is wrong with them."""
    if not scope["http_version"].startswith("1"):
        return 0  # HTTP/2 ends one stream without its connection
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) <= MOST_DIGITS else inf
        if name == b"transfer-encoding":
            return inf
    return 0


def _closing(start: Message) -> Message:
    headers = start.get("headers", ())
    if any(name == b"connection" for name, _ in headers):
        return start
    return {**start, "headers": [*headers, CLOSE]}
