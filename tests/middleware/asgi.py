"""Drives a layer by hand, message by message."""

import asyncio
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def http_scope(
    *headers: tuple[str, str],
    method: str = "POST",
    path: str = "/",
    version: str = "1.1",
    client: str = "127.0.0.1",
) -> Scope:
    return {
        "type": "http",
        "http_version": version,
        "method": method,
        "path": path,
        "scheme": "http",
        "client": (client, 50000),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }


def chunks(*bodies: bytes) -> list[Message]:
    """A body in pieces, ended as Hypercorn ends one: by an empty last message."""
    return [
        *({"type": "http.request", "body": body, "more_body": True} for body in bodies),
        {"type": "http.request", "body": b"", "more_body": False},
    ]


class Exchange:
    """One request: what the client sends, and what it was sent."""

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.incoming.put_nowait(message)
        self.sent: list[Message] = []

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        await app(scope, self.incoming.get, self.send)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


class Reader:
    """An application that reads its body to the end and answers with its size."""

    def __init__(self) -> None:
        self.size = 0
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        more = True
        while more:
            message = await receive()
            self.size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await answer(send, str(self.size).encode())


async def refuser(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers without a look at the body."""
    await answer(send, b"no")


async def answer(send: Send, body: bytes, **start: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [], **start})
    await send({"type": "http.response.body", "body": body})


async def pass_other_types(layer: ASGIApp, seen: list[str]) -> None:
    """Drive a layer around an application that notes what it is asked, with a scope that is not HTTP."""
    await Exchange().run(layer, {"type": "lifespan"})
    assert seen == ["lifespan"]
