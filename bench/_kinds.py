"""What the worker of ``bench jobs`` runs: nothing, once as a durable job and once as a plain task."""

import time
from typing import Final

from pydantic import BaseModel

from app.celery_app import celery_app
from app.services.jobs import RunningJob, job
from app.workers import runtime

TIMES: Final = "bench:times"


class Nothing(BaseModel):
    """No arguments."""


@job("bench.nothing", Nothing)
async def nothing(_running: RunningJob, _args: Nothing) -> None:
    """Do nothing, durably."""


@celery_app.task(name="bench.plain", acks_late=True)  # type: ignore[untyped-decorator]  # Celery has no types
def plain() -> None:
    """Do nothing but note the time, since there is no row that would."""
    runtime.current().redis.rpush(TIMES, time.time())
