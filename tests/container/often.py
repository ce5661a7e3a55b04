"""A kind of job that is due often, for containers that know it by ``JOB_MODULES``; tests never import it."""

from pydantic import BaseModel

from app.services.jobs import RunningJob, job
from app.services.schedules import Missed, Schedule, add_schedule


class Nothing(BaseModel):
    """No arguments."""


@job("container.often", Nothing)
async def often(job: RunningJob, args: Nothing) -> None:
    return None


OFTEN = add_schedule(Schedule("container.often", every=2.0, job="container.often", missed=Missed.RUN_ALL))
