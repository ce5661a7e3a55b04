"""What it costs to watch 200 jobs by streams of events, against polling ``GET /api/v1/jobs/{id}`` once a
second: on one process, in one run. And how soon the ffmpeg of a cancelled job is gone.
"""

import asyncio
import itertools
import json
import secrets
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
import psycopg
import uvloop

from app.celery_app import configuration, create_celery
from app.core.config import AppSettings, load_settings
from app.core.database import create_engine, create_sessions
from app.core.schema import migrate
from app.models.base import new_id
from app.services.jobs import Doorbell, cancel_job, enqueue
from app.services.unit_of_work import unit_of_work
from bench.users import started
from tests.accounts import OWNER, bearer, seed
from tests.configuration import NOWHERE
from tests.servers import plain, postgres_server, redis_server, state_folder, wait_for
from tests.workers.kinds import Args
from tests.workers.processes import CeleryProcess, worker

CLIENTS: Final = 200
SECONDS: Final = 15.0
CANCELS: Final = 10
TARGET: Final = 2.0

REPORT: Final = """
WITH changed AS (
  UPDATE jobs SET progress = %(progress)s WHERE id = %(id)s RETURNING id, state, attempt, progress
)
INSERT INTO job_events (job_id, state, attempt, progress) SELECT * FROM changed
"""


class Bench:
    """One API process, 200 running jobs, and who watches them."""

    def __init__(self, socket: str, process: psutil.Process, jobs: list[uuid.UUID], token: str) -> None:
        self.socket = socket
        self.process = process
        self.jobs = jobs
        self.head = f"Host: bench\r\nAuthorization: {token}\r\n"
        self.latencies: list[float] = []
        self.begun: dict[tuple[uuid.UUID, float], float] = {}

    def cpu(self) -> float:
        """Seconds of processor time that the server has used."""
        times = self.process.cpu_times()
        return times.user + times.system

    def memory(self) -> float:
        """KB that the server alone uses."""
        return float(self.process.memory_full_info().uss) / 1024

    async def write(self, connection: psycopg.AsyncConnection, seconds: float) -> int:
        """Report progress of each job about once a second, evenly; gives how many reports."""
        begin = time.perf_counter()
        for number in itertools.count():
            due = begin + number / len(self.jobs)
            if due > begin + seconds:
                return number
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            job_id, progress = self.jobs[number % len(self.jobs)], (number // len(self.jobs) + 1) / 1000
            self.begun[job_id, progress] = time.perf_counter()
            await connection.execute(REPORT, {"id": job_id, "progress": progress})
        raise AssertionError

    def saw(self, job_id: uuid.UUID, progress: float) -> None:
        """A client learned of a report."""
        begun = self.begun.get((job_id, progress))
        if begun is not None:
            self.latencies.append(time.perf_counter() - begun)

    async def stream(self, job_id: uuid.UUID, opened: asyncio.Semaphore) -> None:
        """Listen to a job until cancelled."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            writer.write(f"GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\n{self.head}\r\n".encode())
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    self.saw(job_id, json.loads(line[6:])["progress"])
                    opened.release()
        finally:
            writer.close()

    async def poll(self, job_id: uuid.UUID, offset: float) -> None:
        """Ask for a job once a second until cancelled, over a connection that stays open."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        request = f"GET /api/v1/jobs/{job_id} HTTP/1.1\r\n{self.head}\r\n".encode()
        known = 0.0
        await asyncio.sleep(offset)
        try:
            while True:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
                if (progress := json.loads(body)["progress"]) != known:
                    known = progress
                    self.saw(job_id, progress)
                await asyncio.sleep(1.0)
        finally:
            writer.close()


@asynccontextmanager
async def all_of(coroutines: list[asyncio.Task[None]]) -> AsyncIterator[None]:
    """Tasks that end with the block."""
    try:
        yield
    finally:
        for task in coroutines:
            task.cancel()
        await asyncio.wait(coroutines)


async def idle(bench: Bench, seconds: float) -> float:
    """Milliseconds of processor time a second that the server uses meanwhile."""
    before = bench.cpu()
    await asyncio.sleep(seconds)
    return (bench.cpu() - before) / seconds * 1000


async def busy(bench: Bench, connection: psycopg.AsyncConnection) -> tuple[float, float, float]:
    """Processor time as above while jobs report, and the median and p99 of the latencies in milliseconds."""
    bench.latencies.clear()
    bench.begun.clear()
    before, begin = bench.cpu(), time.perf_counter()
    await bench.write(connection, SECONDS)
    used = (bench.cpu() - before) / (time.perf_counter() - begin) * 1000
    await asyncio.sleep(1.5)
    latencies = sorted(bench.latencies)
    return used, statistics.median(latencies) * 1000, latencies[int(len(latencies) * 0.99)] * 1000


async def watch(bench: Bench, connection: psycopg.AsyncConnection) -> None:
    alone, memory = await idle(bench, 5.0), bench.memory()
    opened = asyncio.Semaphore(0)
    async with all_of([asyncio.create_task(bench.stream(job_id, opened)) for job_id in bench.jobs]):
        for _ in bench.jobs:
            await opened.acquire()
        await asyncio.sleep(1)
        print(f"{CLIENTS} streams: {(bench.memory() - memory) / CLIENTS:.0f} KB of memory a client")
        quiet = await idle(bench, SECONDS + 5) - alone
        print(f"  of nothing      {quiet:6.1f} ms of CPU a second, {quiet / CLIENTS * 1000:.0f} us a client")
        streamed = await busy(bench, connection)
        print(f"  of {CLIENTS} events/s {told(streamed, alone)}")
    offsets = (number / CLIENTS for number in range(CLIENTS))
    async with all_of([asyncio.create_task(bench.poll(job_id, next(offsets))) for job_id in bench.jobs]):
        await asyncio.sleep(2)
        polled = await busy(bench, connection)
        print(f"{CLIENTS} polls/s       {told(polled, alone)}")
    ratio = (polled[0] - alone) / (streamed[0] - alone)
    print(f"polling / streams: {ratio:.1f} by CPU, {polled[1] / streamed[1]:.0f} by latency")


def told(figures: tuple[float, float, float], alone: float) -> str:
    used, median, worst = figures
    return f"{used - alone:6.1f} ms of CPU a second; from write to client {median:.1f} ms, p99 {worst:.1f} ms"


async def running_jobs(connection: psycopg.AsyncConnection) -> list[uuid.UUID]:
    """Jobs of OWNER that run, as far as the table tells."""
    jobs = [new_id() for _ in range(CLIENTS)]
    for job_id in jobs:
        await connection.execute(
            "INSERT INTO jobs (id, owner_id, kind, queue, args, state, attempt, lease_expires_at) "
            "VALUES (%s, %s, 'bench.none', 'default', '{}', 'running', 1, now() + interval '1 day')",
            (job_id, OWNER),
        )
        await connection.execute(REPORT, {"id": job_id, "progress": 0.0})
    return jobs


async def events(settings: AppSettings, environment: dict[str, str], folder: str) -> None:
    socket = f"{folder}/ours.sock"
    address = plain(settings.database.url.get_secret_value())
    async with AsyncExitStack() as stack:
        connection = await psycopg.AsyncConnection.connect(address, autocommit=True)
        stack.push_async_callback(connection.close)
        jobs = await running_jobs(connection)
        command = (sys.executable, "-m", "bench.users", "ours", socket)
        pid = await stack.enter_async_context(started(socket, *command, **environment))
        await watch(Bench(socket, psutil.Process(pid), jobs, bearer(settings)["Authorization"]), connection)


def tools_of(process: CeleryProcess) -> list[psutil.Process]:
    """The ffmpeg processes of a worker."""
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(process.pid).children(recursive=True)
        return [child for child in found if "ffmpeg" in child.name()]
    return []


async def cancels(settings: AppSettings, folder: Path) -> None:
    engine = create_engine(settings.database)
    sessions, doorbell = create_sessions(engine), Doorbell(create_celery(lambda: configuration(settings)))
    process = worker(folder, settings).start()
    times = []
    try:
        for _ in range(CANCELS):
            async with unit_of_work(sessions, doorbell) as session:
                job_id = (await enqueue(session, "test.tool", Args(), owner_id=OWNER)).id
            await asyncio.to_thread(wait_for, lambda: tools_of(process), what="ffmpeg")
            [tool] = tools_of(process)
            # Anywhere between two looks of its keeper.
            await asyncio.sleep(secrets.randbelow(1000) / 1000)
            begin = time.perf_counter()
            async with unit_of_work(sessions, doorbell) as session:
                await cancel_job(session, job_id, owner_id=OWNER)
            await asyncio.to_thread(tool.wait, 60)
            times.append(time.perf_counter() - begin)
    finally:
        process.kill()
        await doorbell.aclose()
        await engine.dispose()
    print(f"a cancelled job's ffmpeg is gone after {statistics.median(times):.2f} s, "
          f"{max(times):.2f} s at most of {CANCELS} (target {TARGET:g})")  # fmt: skip


def main() -> None:
    with state_folder() as state, tempfile.TemporaryDirectory() as folder:
        servers = postgres_server(state), redis_server(state)
        try:
            for server in servers:
                server.start()
            environment = {
                "STATE_DIR": folder,
                "DATABASE_URL": servers[0].address,
                "REDIS_URL": servers[1].address,
                "SECRET_KEY": secrets.token_urlsafe(48),
                "RATE_LIMIT_ACCOUNT": "999999999/second",
                "JOB_EVENTS_STREAMS": "100000",
            }
            settings = load_settings(environment, directory=NOWHERE)
            migrate(settings)
            with psycopg.connect(plain(servers[0].address), autocommit=True) as connection:
                seed(connection)
            uvloop.run(events(settings, environment, folder))
            asyncio.run(cancels(settings, Path(folder)))
        finally:
            for server in reversed(servers):
                server.kill()


if __name__ == "__main__":
    main()
