"""The application with schedules of a few hundred milliseconds, for beats and workers of tests."""

from app.celery_app import celery_app
from app.services.schedules import Missed, Schedule, add_schedule
from tests.workers import kinds  # noqa: F401 - registers the job that slots ask for

celery_app.conf.beat_schedule["tick"]["schedule"] = 0.2

for every in (0.5, 0.7):
    add_schedule(
        Schedule(
            f"fast-{every}", every=every, job="test.effect", missed=Missed.RUN_ALL, args={"word": "slot"}
        )
    )
