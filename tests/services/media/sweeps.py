"""Sweeps that have ended, for tests of what is told of them."""

from datetime import UTC, datetime
from typing import Any

from app.core.database import Sessions, transaction
from app.models.job import Job, JobState
from app.schemas.storage import Findings, StorageReport
from app.services.media.usage import SWEEP
from app.services.users import SYSTEM_OWNER


def whole(**values: Any) -> StorageReport:
    """The report of a sweep that found nothing wrong."""
    counts = dict.fromkeys(
        ("objects", "bytes", "referenced", "unreferenced", "removed", "leftovers", "verified"), 0
    )
    found: dict[str, Any] = {name: Findings() for name in ("missing", "wrong_size", "damaged")}
    found |= {"finished_at": datetime.now(UTC), "seconds": 0.1, "kept": False}
    return StorageReport(**found | counts | values)


def lost() -> StorageReport:
    """That of a sweep that missed an object."""
    return whole(missing=Findings(count=1, keys=["0" * 64]))


async def sweep(sessions: Sessions, report: StorageReport) -> None:
    """Write down a sweep that has ended with a report."""
    await ended(sessions, JobState.SUCCEEDED, report.model_dump(mode="json"))


async def ended(sessions: Sessions, state: JobState, result: dict[str, Any] | None) -> None:
    """Write down a sweep that has ended somehow."""
    facts = {"kind": SWEEP, "owner_id": SYSTEM_OWNER, "queue": "maintenance", "args": {}}
    async with transaction(sessions) as session:
        session.add(Job(**facts, state=state, finished_at=datetime.now(UTC), result=result))
