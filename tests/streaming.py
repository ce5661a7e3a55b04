"""A client of an event stream, straight into the application: httpx gathers an answer before it gives it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message, Scope

from tests.servers import DEADLINE


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it came."""

    id: int
    name: str
    data: dict[str, Any]


class EventClient:
    """One open stream."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.comments: list[str] = []
        self.retries: list[int] = []
        self.gone = asyncio.Event()
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._text = ""
        self._over = False

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self._messages.put(message)

    async def open(self) -> None:
        """Until the head of the answer is here."""
        start = await self._message()
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}

    async def next(self) -> Told | None:
        """The next event, None at the end of the stream."""
        while (block := await self._block()) is not None:
            if (event := self._parsed(block)) is not None:
                return event
        return None

    async def rest(self) -> list[Told]:
        """All events until the end of the stream."""
        events = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events

    async def commented(self) -> str:
        """The next comment; no event comes before it."""
        while not self.comments:
            block = await self._block()
            assert block is not None
            assert self._parsed(block) is None
        return self.comments.pop()

    async def _block(self) -> str | None:
        while "\n\n" not in self._text:
            if self._over:
                return None
            message = await self._message()
            self._text += message.get("body", b"").decode()
            self._over = not message.get("more_body", False)
        block, _, self._text = self._text.partition("\n\n")
        return block

    async def _message(self) -> Message:
        return await asyncio.wait_for(self._messages.get(), DEADLINE)

    def _parsed(self, block: str) -> Told | None:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
        if "" in fields:
            self.comments.append(fields[""])
        if "retry" in fields:
            self.retries.append(int(fields["retry"]))
        if "data" not in fields:
            return None
        return Told(int(fields["id"]), fields["event"], json.loads(fields["data"]))


@asynccontextmanager
async def streamed(
    app: ASGIApp, path: str, headers: dict[str, str], **query: object
) -> AsyncIterator[EventClient]:
    """A stream that its client leaves at the end of the block."""
    client = EventClient()
    named = {"host": "localhost"} | {name.lower(): value for name, value in headers.items()}
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": urlencode(query).encode(),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 80),
        "state": {},
    }
    task = asyncio.ensure_future(app(scope, client.receive, client.send))
    try:
        await client.open()
        yield client
    finally:
        client.gone.set()
        await asyncio.wait_for(task, DEADLINE)
