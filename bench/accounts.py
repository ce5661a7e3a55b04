"""Whether the time of an answer tells that an address has an account: medians of requests with known and
unknown addresses at login, registration and reset, in turns, against a running API with real password hashes.
"""

import asyncio
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import psycopg
import uvloop

from app.core.config import load_settings
from app.core.config.groups import AuthSettings
from app.core.drain import Drain
from app.core.heartbeat import Heartbeat
from app.core.schema import migrate
from app.main import create_app
from app.server import Listening, serve
from app.services.auth.passwords import Passwords
from bench.__main__ import machine
from tests.servers import plain, postgres_server, redis_server, state_folder

REQUESTS: Final = 200
WARM_UP: Final = 10
TARGET: Final = 0.05
WRONG: Final = "not the password of anybody"
LIMITS: Final = ("DEFAULT", "ACCOUNT", "LOGIN", "REGISTER", "RESET")
NOWHERE: Final = Path("/nonexistent")

PATHS: Final = {
    "login": ("/api/v1/auth/login", {"password": WRONG}, 401),
    "register": ("/api/v1/auth/register", {}, 202),
    "forgot": ("/api/v1/auth/password/forgot", {}, 202),
}


def values(folder: Path, database_url: str, redis_url: str) -> dict[str, str]:
    """The environment of the API: its own settings for passwords, and no limit in the way."""
    limits = {f"RATE_LIMIT_{name}": "999999999/second" for name in LIMITS}
    return limits | {
        "STATE_DIR": str(folder),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": secrets.token_urlsafe(48),
    }


def run_server(socket: str) -> None:
    """Serve until killed."""
    app = create_app(load_settings(directory=NOWHERE))
    uvloop.run(serve(app, Listening(binds=(f"unix:{socket}",)), drain=Drain(), heartbeat=Heartbeat(None)))


@asynccontextmanager
async def started(socket: str, environment: dict[str, str]) -> AsyncIterator[None]:
    """The API in a process of its own, whose log lines nobody waits for."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.accounts",
        socket,
        env=os.environ | environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not await asyncio.to_thread(Path(socket).exists):
            if time.monotonic() > deadline:
                raise TimeoutError("the API did not start")
            await asyncio.sleep(0.05)
        yield
    finally:
        process.kill()
        await process.wait()


def addresses(kind: str) -> Iterator[str]:
    """Each another one: an address that was used is not unknown, nor as cold, any more."""
    return (f"{kind}-{number}@example.org" for number in range(1_000_000))


def make_accounts(database_url: str, count: int) -> None:
    """Verified accounts with the addresses of ``known``, all with one password's hash."""
    hashed = asyncio.run(Passwords(AuthSettings()).hash("the password of everybody here"))
    known = addresses("known")
    with psycopg.connect(plain(database_url), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO users (id, email, password_hash, email_verified_at)"
            " VALUES (gen_random_uuid(), %s, %s, now())",
            [(next(known), hashed) for _ in range(count)],
        )


async def ask(client: httpx.AsyncClient, path: str, body: dict[str, str], status: int) -> float:
    """Milliseconds until the answer is there."""
    begin = time.perf_counter()
    answer = await client.post(path, json=body)
    taken = (time.perf_counter() - begin) * 1000
    if answer.status_code != status:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
    return taken


async def compare(client: httpx.AsyncClient, name: str, known: Iterator[str], unknown: Iterator[str]) -> None:
    """Measure one route in turns, each kind first as often as the other, and print its line."""
    path, rest, status = PATHS[name]
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    for turn in range(WARM_UP + REQUESTS):
        pair = [("known", known), ("unknown", unknown)]
        for kind, source in pair if turn % 2 else reversed(pair):
            taken = await ask(client, path, {"email": next(source)} | rest, status)
            if turn >= WARM_UP:
                times[kind].append(taken)
    medians = {kind: statistics.median(taken) for kind, taken in times.items()}
    ratio = medians["known"] / medians["unknown"]
    verdict = "yes" if abs(ratio - 1) <= TARGET else "NO"
    print(
        f"{name:9} known {medians['known']:8.2f} ms   unknown {medians['unknown']:8.2f} ms   "
        f"ratio {ratio:6.3f}   within {TARGET:.0%}: {verdict}",
        flush=True,
    )


async def measure(folder: str, environment: dict[str, str]) -> None:
    """Start the API and compare all routes."""
    socket = f"{folder}/api.sock"
    async with (
        started(socket, environment),
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=socket), base_url="http://bench") as client,
    ):
        known, unknown = addresses("known"), addresses("unknown")
        for name in PATHS:
            await compare(client, name, known, unknown)


def main() -> None:
    with state_folder() as state, tempfile.TemporaryDirectory() as folder:
        database, redis = postgres_server(state), redis_server(state)
        database.start()
        redis.start()
        try:
            environment = values(Path(folder), database.address, redis.address)
            settings = load_settings(environment, directory=NOWHERE)
            migrate(settings)
            make_accounts(database.address, len(PATHS) * (WARM_UP + REQUESTS))
            uvloop.run(measure(folder, environment))
        finally:
            redis.kill()
            database.stop()
    print(f"machine: {machine()}; medians of {REQUESTS} each, in turns, Argon2id as it is set by default")


if __name__ == "__main__":
    run_server(sys.argv[1])
