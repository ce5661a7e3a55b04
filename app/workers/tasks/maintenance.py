"""What keeps the house in order: old rows go, in small steps, and the storage is looked at."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from app.core.database import transaction
from app.exceptions.base import AppException
from app.services.accounts.exports import prune_exports
from app.services.accounts.mailing import forget_addresses
from app.services.auth.api_keys import prune_api_keys
from app.services.auth.familiar import KNOWN_FOR
from app.services.auth.sessions import prune_sessions
from app.services.idempotency import prune_keys
from app.services.jobs import RunningJob, job
from app.services.jobs.pruning import prune_jobs, prune_slots
from app.services.media.resumable.pruning import finish_abandoned, prune_uploads
from app.services.media.resumable.rows import Store
from app.services.schedules import Schedule, add_schedule
from app.services.workspace import Workspace
from app.services.workspace.status import State
from app.workers import runtime

DAY: Final = 86400.0
STEP: Final = 100
"""Rows of one transaction, so few that none lasts long."""

LONGEST: Final = 30.0
"""Seconds after which no step of a table begins; the next slot goes on."""

_log: Final = logging.getLogger(__name__)


class PruneArgs(BaseModel):
    """How much to forget at once."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(STEP, ge=1, description="Rows of one step.")


@job("maintenance.prune", PruneArgs, queue="maintenance", max_attempts=3)
async def prune(running: RunningJob, args: PruneArgs) -> dict[str, int]:
    """Forget what ended long ago or has expired; finish uploads that are whole and have nobody."""
    days = running.settings.jobs.retention_days
    workspace = Workspace.from_settings(running.settings)
    expiry = timedelta(seconds=running.settings.media.upload_expiry)
    begin = partial(transaction, runtime.current().sessions)
    # What a killed worker left of a film is large, and no job lasts as long.
    longest = 2.0 * running.settings.celery.time_limit
    # The storage comes last: where it is away, everything else has been done.
    steps: dict[str, Callable[[], Awaitable[int]]] = {
        "jobs": partial(_in_steps, prune_jobs, days, args.limit),
        "slots": partial(_in_steps, prune_slots, days, args.limit),
        # As long as the throttle looks for places in them.
        "sessions": partial(_in_steps, prune_sessions, KNOWN_FOR.days, args.limit),
        "api_keys": partial(_in_steps, prune_api_keys, days, args.limit),
        "idempotency_keys": partial(_in_steps, prune_keys, 0, args.limit),
        "mail_addresses": partial(_in_steps, forget_addresses, 0, args.limit),
        "work": partial(asyncio.to_thread, workspace.remove_abandoned_work, longest),
        "exports": partial(_in_steps, partial(prune_exports, workspace=workspace), days, args.limit),
        "uploads": partial(_in_steps, partial(prune_uploads, workspace=workspace), 0, args.limit),
        "uploads_finished": partial(finish_abandoned, Store(begin, workspace, expiry)),
    }
    return {name: count for name, step in steps.items() if (count := await _tried(name, step)) is not None}


async def _tried(name: str, step: Callable[[], Awaitable[int]]) -> int | None:
    """One step; where its storage is away, the next slot does it, and the other steps go on."""
    try:
        return await step()
    except (AppException, OSError):
        _log.exception("prune_step_failed", extra={"step": name})
        return None


async def _in_steps(step: Any, days: int, limit: int) -> int:
    """Each step is a transaction of its own: what it has forgotten stays so, whatever becomes of the job."""
    end, total, count = time.monotonic() + LONGEST, 0, limit
    while count == limit and time.monotonic() < end:
        async with transaction(runtime.current().sessions) as session:
            count = await step(session, days=days, limit=limit)
        total += count
    return total


class CheckArgs(BaseModel):
    """Nothing to choose."""

    model_config = ConfigDict(extra="forbid")


@job(
    "maintenance.check_storage", CheckArgs, queue="maintenance", soft_limit=60, hard_limit=90, max_attempts=1
)
async def check_storage(running: RunningJob, _args: CheckArgs) -> dict[str, Any]:
    """Look whether files can be stored, and tell the operator where they cannot."""
    status = await asyncio.to_thread(Workspace.from_settings(running.settings).check)
    if status.state is not State.WRITABLE:
        _log.error("storage_not_writable", extra={"state": status.state, "free": status.free})
    return {"state": status.state, "free": status.free}


PRUNING: Final = add_schedule(Schedule("maintenance.prune", every=3600.0, job="maintenance.prune"))
CHECKING: Final = add_schedule(
    Schedule("maintenance.check_storage", every=900.0, job="maintenance.check_storage")
)
