"""Kinds of jobs that tests ask for; a worker knows them with ``--include tests.workers.kinds``."""

import asyncio
import os
import signal
import tempfile
import threading
from pathlib import Path

import psycopg
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from app.core import context
from app.exceptions.base import InsufficientStorageException
from app.models.job import Job
from app.services.jobs import JobFailed, RunningJob, enqueue, job
from app.services.media.run import Limits, held_open, run_tool
from app.services.media.tools import find_tools
from tests.servers import plain, wait_for

RELEASED = threading.Event()
"""Lets stubborn jobs of this process end."""

LEDGER = "CREATE TABLE IF NOT EXISTS ledger (id bigserial PRIMARY KEY, job_id uuid, attempt int, word text)"


class Args(BaseModel):
    """What a test wants to happen."""

    model_config = ConfigDict(extra="forbid")

    word: str = "done"
    seconds: float = 0.0


async def note(running: RunningJob, word: str) -> None:
    """An effect that can be counted; it commits with the job or not at all."""
    await running.session.execute(
        text("INSERT INTO ledger (job_id, attempt, word) VALUES (:job, :attempt, :word)"),
        {"job": running.id, "attempt": running.attempt, "word": word},
    )


@job("test.effect", Args)
async def effect(running: RunningJob, args: Args) -> dict[str, str]:
    await running.progress(0.5, "working")
    await asyncio.sleep(args.seconds)
    await note(running, args.word)
    return {"word": args.word}


@job("test.refuse", Args)
async def refuse(running: RunningJob, args: Args) -> None:
    await note(running, "must not stay")
    raise JobFailed("There is nothing here.", code="nothing")


@job("test.refuse_and_keep", Args)
async def refuse_and_keep(running: RunningJob, args: Args) -> None:
    await note(running, args.word)
    raise JobFailed("There is nothing here.", keep_effects=True)


@job("test.raise", Args, max_attempts=3)
async def raise_always(running: RunningJob, args: Args) -> None:
    await note(running, "must not stay")
    raise ValueError("a secret detail")


@job("test.outage", Args, max_attempts=2)
async def find_no_storage(running: RunningJob, args: Args) -> None:
    await note(running, "must not stay")
    raise InsufficientStorageException("The disk is full.")


@job("test.poison", Args, max_attempts=2)
async def poison(running: RunningJob, args: Args) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job("test.wait", Args, max_attempts=2)
async def wait(running: RunningJob, args: Args) -> None:
    await running.progress(0.25, "waiting")
    await asyncio.sleep(args.seconds or 600)


@job("test.wait_once", Args, max_attempts=2)
async def wait_once(running: RunningJob, args: Args) -> None:
    """It ends in its second attempt."""
    await running.progress(0.25, "waiting")
    await asyncio.sleep(600 if running.attempt == 1 else 0)


@job("test.wait_for_file", Args, max_attempts=2)
async def wait_for_file(running: RunningJob, args: Args) -> None:
    """It ends once there is a file with the path that is its word."""
    await running.progress(0.25, "waiting")
    while not Path(args.word).exists():
        await asyncio.sleep(0.05)


@job("test.stubborn", Args)
async def stubborn(running: RunningJob, args: Args) -> None:
    await running.progress(0.25, "waiting")
    while not RELEASED.is_set():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue


def wait_for_renewal(running: RunningJob) -> None:
    """Block this thread, and what runs in it, until the keeper has renewed the job's lease."""
    address = plain(running.settings.database.url.get_secret_value())
    with psycopg.connect(address, autocommit=True) as connection:

        def lease() -> object:
            return connection.execute(
                "SELECT lease_expires_at FROM jobs WHERE id = %s", [running.id]
            ).fetchone()

        begun = lease()
        wait_for(lambda: lease() != begun, what="a renewal")


@job("test.block", Args)
async def block(running: RunningJob, args: Args) -> None:
    wait_for_renewal(running)
    await note(running, args.word)


@job("test.tell", Args, max_attempts=2)
async def tell(running: RunningJob, args: Args) -> None:
    await running.log(f"word is {args.word}")
    raise ValueError("a secret detail")


@job("test.tool", Args)
async def run_ffmpeg(running: RunningJob, args: Args) -> None:
    await running.progress(0.25, "waiting")
    ffmpeg = find_tools(running.settings.media).ffmpeg
    limits = Limits(seconds=600, memory=2**31, output=1024)
    with tempfile.TemporaryDirectory() as folder, held_open(Path("/dev/zero")) as reads:
        # Black pictures without end, which every ffmpeg reads.
        raw = ["-f", "rawvideo", "-video_size", "16x16", "-framerate", "25", "-i", str(reads.path)]
        picture = ["-v", "error", "-re", *raw, "-f", "null", "-"]
        await run_tool(ffmpeg, picture, folder=Path(folder), reads=reads, limits=limits)


@job("test.limited", Args, soft_limit=1.0, hard_limit=3.0, max_attempts=1)
async def limited(running: RunningJob, args: Args) -> None:
    await asyncio.sleep(600)


@job("test.limited_stubborn", Args, soft_limit=20.0, hard_limit=40.0, max_attempts=1)
async def limited_stubborn(running: RunningJob, args: Args) -> None:
    await stubborn(running, args)


@job("test.parent", Args)
async def parent(running: RunningJob, args: Args) -> None:
    await enqueue(running.session, "test.effect", Args(word="child"), owner_id=running.owner_id)


@job("test.bad_result", Args, max_attempts=1)
async def bad_result(running: RunningJob, args: Args) -> dict[str, object]:
    await note(running, "must not stay")
    return {"not": object()}


@job("test.context", Args)
async def tell_context(running: RunningJob, args: Args) -> dict[str, str | None]:
    return {"request": context.request_id.get(), "job": context.job_id.get(), "user": context.user_id.get()}


@job("test.read", Args)
async def read(running: RunningJob, args: Args) -> dict[str, str]:
    async with running.reading() as session:
        mode = (await session.execute(text("SHOW transaction_read_only"))).scalar_one()
    async with running.reading() as session, session.begin_nested():
        again = (await session.execute(text("SHOW transaction_read_only"))).scalar_one()
    await note(running, args.word)
    return {"mode": mode, "again": again}


@job("test.refuse_with_nul", Args)
async def refuse_with_nul(running: RunningJob, args: Args) -> None:
    raise JobFailed("what the file says: \0 \ud800", code="odd\0")


@job("test.refuse_and_keep_nothing", Args, max_attempts=2)
async def refuse_and_keep_nothing(running: RunningJob, args: Args) -> None:
    running.session.add(Job(kind="no owner, no queue"))
    raise JobFailed("There is nothing here.", keep_effects=True)


@job("test.odd_progress", Args)
async def odd_progress(running: RunningJob, args: Args) -> None:
    await running.progress(0.5, "half\0way \ud800")
    await running.progress(float("nan"), "no share")
    await asyncio.to_thread(wait_for_renewal, running)


@job("test.hard_limit_alone", Args, hard_limit=20.0, max_attempts=1)
async def hard_limit_alone(running: RunningJob, args: Args) -> None:
    await stubborn(running, args)
