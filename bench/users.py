"""An authenticated read from the database, ``GET /api/v1/users/me``, one process each, in turns.

Against a bare FastAPI route on the same server, and, where ``BENCH_TEMPLATE`` names the folder ``backend`` of
a checkout of fastapi/full-stack-fastapi-template (and ``BENCH_TEMPLATE_PYTHON`` a Python with its
dependencies), against its own ``users/me`` under uvicorn, as it is shipped.
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
from typing import Final

import httpx
import psutil
import psycopg
import uvloop

from app.core.config import load_settings
from app.core.drain import Drain
from app.core.heartbeat import Heartbeat
from app.core.schema import migrate
from app.main import create_app
from app.server import Listening, serve
from bench.http import bare, measure
from tests.accounts import bearer, seed
from tests.servers import beside, plain, postgres_server, redis_server, state_folder

PATH: Final = "/api/v1/users/me"
ROUNDS: Final = 5
TARGET: Final = 3.0
SECRET: Final = secrets.token_urlsafe(48)

TABLES: Final = (
    # Its migrations want the extension uuid-ossp, which the embedded PostgreSQL has not.
    "from sqlmodel import SQLModel; import app.models; from app.core.db import engine; "
    "SQLModel.metadata.create_all(engine)"
)

Target = tuple[str, psutil.Process, bytes]
"""A socket, the process behind it, and the request to send."""


def values(folder: Path, database_url: str, redis_url: str) -> dict[str, str]:
    """The environment of our own server."""
    return {
        "STATE_DIR": str(folder),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET,
        "RATE_LIMIT_DEFAULT": "999999999/second",
        "RATE_LIMIT_ACCOUNT": "999999999/second",
    }


def request(path: str, headers: dict[str, str]) -> bytes:
    """The request, as it goes over the wire."""
    lines = [f"GET {path} HTTP/1.1", "Host: bench", "Accept: application/json", "User-Agent: bench"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def run_server(which: str, socket: str) -> None:
    """Serve until killed: the application of the environment, or a bare route."""
    listening = Listening(binds=(f"unix:{socket}",))
    app = create_app(load_settings(directory=Path("/nonexistent"))) if which == "ours" else bare()
    uvloop.run(serve(app, listening, drain=Drain(), heartbeat=Heartbeat(None)))


@asynccontextmanager
async def started(
    socket: str, *command: str, cwd: str | None = None, **environment: str
) -> AsyncIterator[int]:
    """A server process of its own that listens on a socket; gives its pid."""
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, cwd=cwd, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not await asyncio.to_thread(Path(socket).exists):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{command} did not start")
            await asyncio.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def template(folder: str, database_url: str) -> AsyncIterator[Target]:
    """The template's backend in one process, with an account that is logged in."""
    backend, python = os.environ["BENCH_TEMPLATE"], os.environ.get("BENCH_TEMPLATE_PYTHON", sys.executable)
    email, password = "bench@example.com", secrets.token_urlsafe(16)
    environment = {
        "DATABASE_URL": plain(beside(database_url, "template")),
        "SECRET_KEY": SECRET,
        "PROJECT_NAME": "bench",
        "FIRST_SUPERUSER": email,
        "FIRST_SUPERUSER_PASSWORD": password,
        "PYTHONPATH": backend,
    }
    for step in (("-c", TABLES), ("-m", "app.initial_data")):
        done = await asyncio.create_subprocess_exec(
            python, *step, cwd=backend, env=os.environ | environment, stderr=asyncio.subprocess.DEVNULL
        )
        if await done.wait():
            raise RuntimeError(f"the template failed at {step}")
    socket = f"{folder}/template.sock"
    command = (python, "-m", "uvicorn", "app.main:app", "--uds", socket, "--log-level", "warning")
    async with started(socket, *command, cwd=backend, **environment) as pid:
        async with httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=socket), base_url="http://bench"
        ) as client:
            form = {"username": email, "password": password}
            token = (await client.post("/api/v1/login/access-token", data=form)).json()["access_token"]
        yield socket, psutil.Process(pid), request(PATH, {"Authorization": f"Bearer {token}"})


async def compare(folder: Path, database_url: str, redis_url: str) -> None:
    """Measure all in turns and print what came out."""
    environment = values(folder, database_url, redis_url)
    settings = load_settings(environment, directory=Path("/nonexistent"))
    await asyncio.to_thread(migrate, settings)
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        seed(connection)
        connection.execute("CREATE DATABASE template")
    with tempfile.TemporaryDirectory() as sockets:
        ours, bare_socket = f"{sockets}/ours.sock", f"{sockets}/bare.sock"
        module = (sys.executable, "-m", "bench.users")
        async with (
            started(ours, *module, "ours", ours, **environment) as our_pid,
            started(bare_socket, *module, "bare", bare_socket) as bare_pid,
        ):
            targets = {
                "holdfast": (ours, psutil.Process(our_pid), request(PATH, bearer(settings))),
                "bare": (bare_socket, psutil.Process(bare_pid), request("/api/v1/ping", {})),
            }
            if os.environ.get("BENCH_TEMPLATE"):
                async with template(sockets, database_url) as theirs:
                    await _rounds(targets | {"template": theirs})
            else:
                await _rounds(targets)


async def _rounds(targets: dict[str, Target]) -> None:
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in targets}
    for socket, process, sent in targets.values():
        await measure(socket, process, 1.0, request=sent)
    for _ in range(ROUNDS):
        for name, (socket, process, sent) in targets.items():
            measured[name].append(await measure(socket, process, request=sent))
    for name, rounds in measured.items():
        rate, cost = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:9} {rate:8.0f} requests/s {cost:8.0f} us of CPU a request")
    for name in (name for name in measured if name != "holdfast"):
        pairs = list(zip(measured["holdfast"], measured[name], strict=True))
        by_rate = statistics.median(mine[0] / other[0] for mine, other in pairs)
        by_cost = statistics.median(other[1] / mine[1] for mine, other in pairs)
        target = f" (target {TARGET:g})" if name == "template" else ""
        print(f"ratio to {name}: {by_rate:.2f} by requests/s{target}, {by_cost:.2f} by CPU")
    print(f"{ROUNDS} rounds in turns; {platform.platform()}, Python {platform.python_version()}")


def main() -> None:
    """Start PostgreSQL and Redis, measure, stop them."""
    with state_folder() as folder:
        servers = postgres_server(folder), redis_server(folder)
        try:
            for server in servers:
                server.start()
            uvloop.run(compare(folder, *(server.address for server in servers)))
        finally:
            for server in reversed(servers):
                server.stop()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run_server(sys.argv[1], sys.argv[2])
    else:
        main()
