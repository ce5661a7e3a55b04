"""Kinds of jobs that containers know by ``JOB_MODULES``: one that takes its time, one that is due often."""

import asyncio

from pydantic import BaseModel

from app.services.jobs import RunningJob, job
from app.services.schedules import Missed, Schedule, add_schedule

EVERY = 2.0
"""Seconds."""


class Nap(BaseModel):
    """How long."""

    seconds: float


class Nothing(BaseModel):
    """No arguments."""


@job("test.nap", Nap)
async def nap(job: RunningJob, args: Nap) -> dict[str, int]:
    await job.progress(0.5, "asleep")
    await asyncio.sleep(args.seconds)
    return {"attempt": job.attempt}


@job("test.often", Nothing)
async def often(job: RunningJob, args: Nothing) -> None:
    return None


OFTEN = add_schedule(Schedule("test.often", every=EVERY, job="test.often", missed=Missed.RUN_ALL))
