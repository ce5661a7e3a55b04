"""Durable jobs: accepted with the change that asked for them, run until they end, completed once."""

from app.services.jobs.doorbell import Doorbell
from app.services.jobs.queueing import enqueue
from app.services.jobs.registry import job
from app.services.jobs.requests import cancel_job, get_job, list_jobs, retry_job
from app.services.jobs.running import JobFailed, RunningJob

__all__ = [
    "Doorbell",
    "JobFailed",
    "RunningJob",
    "cancel_job",
    "enqueue",
    "get_job",
    "job",
    "list_jobs",
    "retry_job",
]
