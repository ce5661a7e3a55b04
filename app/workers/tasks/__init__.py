"""Every task and every kind of job. Importing this package registers them; it opens nothing."""

from app.workers.tasks import accounts, jobs, maintenance, media

__all__ = ["accounts", "jobs", "maintenance", "media"]
