"""A kind of job that takes its time; the stack knows it through ``JOB_MODULES``."""

import asyncio

from pydantic import BaseModel

from app.services.jobs import RunningJob, job


class Nap(BaseModel):
    """How long."""

    seconds: float


@job("test.nap", Nap)
async def nap(job: RunningJob, args: Nap) -> dict[str, int]:
    await job.progress(0.5, "asleep")
    await asyncio.sleep(args.seconds)
    return {"attempt": job.attempt}
