"""The application inside its lifespan, and a connection to a server that can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from app.core.config import AppSettings
from app.core.drain import Drain
from app.main import create_app
from tests.servers import DEADLINE, own_port

NOBODY = "127.0.0.1:1"
"""A port that nothing listens on."""


@asynccontextmanager
async def serve(
    settings: AppSettings,
    *,
    drain: Drain | None = None,
    client: str = "127.0.0.1",
    app: FastAPI | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application of its own, seen by it at this address, with these headers."""
    app = app or create_app(settings, drain=drain)
    async with LifespanManager(app, startup_timeout=DEADLINE, shutdown_timeout=DEADLINE) as manager:
        transport = httpx.ASGITransport(manager.app, client=(client, 50000), raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as http:
            yield http


class Cable:
    """Passes bytes to a server until it is cut, and again once it is mended."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 0)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self.port = own_port()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()
        # Some may be on their way to the server still.
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def through(self, address: str) -> str:
        """The address with this cable in between."""
        parts = urlsplit(address)
        account = parts.netloc.rpartition("@")[0]
        netloc = f"{account}@127.0.0.1:{self.port}" if account else f"127.0.0.1:{self.port}"
        return parts._replace(netloc=netloc).geturl()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        # A task of its own: streams of Python 3.11 complain where that of this call is cancelled.
        task = asyncio.create_task(self._connect(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        await asyncio.wait([task])
        writer.close()
        if not task.cancelled():
            task.exception()  # nobody listens there: the client sees that

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection(*self._target)
        self._open.add(back)
        await asyncio.gather(self._copy(reader, back), self._copy(onward, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
