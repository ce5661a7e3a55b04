"""A JSON route through all middleware and our server against the same on bare FastAPI and Hypercorn.

Rounds alternate, so that both see the same machine.
"""

import asyncio
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import hypercorn.asyncio
import psutil
import uvloop
from fastapi import FastAPI
from hypercorn.config import Config

from app.core.config import load_settings
from app.core.drain import Drain
from app.core.heartbeat import Heartbeat
from app.main import create_app
from app.schemas.info import PingResponse
from app.server import Listening, serve

PATH = "/api/v1/ping"
CONNECTIONS = 16
ROUNDS = 7
SECONDS = 3.0
TARGET = 0.85
REQUEST = (
    f"GET {PATH} HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\nUser-Agent: bench\r\n\r\n".encode()
)


def bare() -> FastAPI:
    """FastAPI as it comes, with the one route."""
    app = FastAPI()

    @app.get(PATH)
    async def ping() -> PingResponse:
        return PingResponse()

    return app


def whole() -> FastAPI:
    """The application; its route touches neither PostgreSQL nor Redis, so neither need run."""
    values = {
        "STATE_DIR": tempfile.gettempdir(),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "RATE_LIMIT_DEFAULT": "999999999/second",
    }
    return create_app(load_settings(values, directory=Path("/nonexistent")))


def run_server(which: str, socket: str) -> None:
    """Serve until killed."""
    if which == "whole":
        uvloop.run(
            serve(whole(), Listening(binds=(f"unix:{socket}",)), drain=Drain(), heartbeat=Heartbeat(None))
        )
        return
    config = Config()
    config.bind = [f"unix:{socket}"]
    uvloop.run(hypercorn.asyncio.serve(bare(), config))  # type: ignore[arg-type]  # its ASGI types differ in name


@asynccontextmanager
async def server(which: str, socket: str) -> AsyncIterator[psutil.Process]:
    """A process of its own, that writes its log lines where nobody waits for them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.http", which, socket, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while not await asyncio.to_thread(Path(socket).exists):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{which} did not start")
            await asyncio.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        await process.wait()


async def connection(socket: str, until: float, request: bytes = REQUEST) -> int:
    """Requests answered on one keep-alive connection, and the next where the server ends that."""
    reader, writer = await asyncio.open_unix_connection(socket)
    done = 0
    while time.monotonic() < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        done += 1
        if b"\r\nconnection: close\r\n" in head:
            writer.close()
            reader, writer = await asyncio.open_unix_connection(socket)
    writer.close()
    return done


async def measure(
    socket: str, process: psutil.Process, seconds: float = SECONDS, *, request: bytes = REQUEST
) -> tuple[float, float]:
    """Requests per second, and microseconds of the server's CPU for each, which other load hardly changes."""
    until, before = time.monotonic() + seconds, sum(process.cpu_times()[:2])
    count = sum(await asyncio.gather(*(connection(socket, until, request) for _ in range(CONNECTIONS))))
    return count / seconds, (sum(process.cpu_times()[:2]) - before) / count * 1e6


async def compare() -> None:
    """Measure both in turns and print what came out."""
    with tempfile.TemporaryDirectory() as folder:
        bare_socket, whole_socket = f"{folder}/bare.sock", f"{folder}/whole.sock"
        async with (
            server("bare", bare_socket) as bare_process,
            server("whole", whole_socket) as whole_process,
        ):
            await measure(bare_socket, bare_process, 1.0)
            await measure(whole_socket, whole_process, 1.0)
            rounds = []
            for _ in range(ROUNDS):
                pair = await measure(bare_socket, bare_process), await measure(whole_socket, whole_process)
                rounds.append(pair)
    for name, measured in zip(("bare", "whole"), zip(*rounds, strict=True), strict=True):
        rate, cost = (statistics.median(values) for values in zip(*measured, strict=True))
        print(f"{name:6} {rate:8.0f} requests/s {cost:8.0f} us of CPU a request")
    print(f"ratio  {statistics.median(w[0] / b[0] for b, w in rounds):8.2f} by requests/s (target {TARGET})")
    print(f"ratio  {statistics.median(b[1] / w[1] for b, w in rounds):8.2f} by CPU; {ROUNDS} rounds in turns")
    print(f"machine: {platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")


def main() -> None:
    """Measure and print."""
    uvloop.run(compare())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run_server(sys.argv[1], sys.argv[2])
    else:
        main()
