"""Claims jobs and runs them in a child's event loop, each to exactly one end."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core import context
from app.core.config import AppSettings
from app.core.database import Sessions, is_unavailable, transaction
from app.exceptions.base import (
    AppException,
    InsufficientStorageException,
    ServiceUnavailableException,
)
from app.services.jobs import Doorbell, JobFailed, RunningJob, moves
from app.services.jobs.backoff import backoff
from app.services.jobs.doorbell import queues_to_ring
from app.services.jobs.registry import Kind, kind_of, known_kinds
from app.workers.keeper import Keeper, kill_descendants, settlement
from app.workers.watch import Claim, Progress, Reason, Watch

SERVE_SECONDS: Final = 10.0
"""How long one doorbell goes on claiming, so that other queues have their turn."""

_log = logging.getLogger(__name__)


class LostError(Exception):
    """The fence is closed: another attempt has the job, or it has ended. Nothing of this one counts."""


class Executor:
    """Runs jobs, one at a time.

    Args:
        settings: limits and leases; given to jobs too.
        engine: of this process's event loop.
        sessions: on the same engine.
        doorbell: rung for the jobs that jobs enqueue.
        keeper: looks after the lease.
        worker: the name written into the rows of claimed jobs.
        kill_tools: ends what an interrupted job left running: every process that this one started.
    """

    def __init__(
        self,
        settings: AppSettings,
        engine: AsyncEngine,
        sessions: Sessions,
        doorbell: Doorbell,
        keeper: Keeper,
        *,
        worker: str,
        kill_tools: Callable[[], None] = kill_descendants,
    ) -> None:
        self._kill_tools = kill_tools
        self._settings = settings
        # The claim is one statement and commits by itself: nothing is held while the job works.
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = sessions
        self._doorbell = doorbell
        self._keeper = keeper
        self._worker = worker

    async def serve(self, queue: str, *, goes_on: Callable[[], bool]) -> None:
        """Run the due jobs of a queue, until none is left, time is up, or the worker stops."""
        end = time.monotonic() + SERVE_SECONDS
        while goes_on():
            if time.monotonic() >= end:
                self._doorbell.ring([queue])
                return
            claim = await self.claim(queue)
            if claim is None:
                return
            await self.run(claim)

    async def claim(self, queue: str) -> Claim | None:
        """Take the next due job of a queue, None where there is none for this worker."""
        allowances = {
            name: kind.max_attempts or self._settings.jobs.max_attempts
            for name, kind in known_kinds().items()
        }
        if not allowances:
            return None
        lease, claimed = self._settings.jobs.lease_seconds, time.monotonic()
        statement = moves.claim(queue, worker=self._worker, lease=lease, allowances=allowances)
        async with self._autocommit.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else self._claimed(row, allowances[row.kind], claimed)

    def _claimed(self, row: Any, allowance: int, claimed: float) -> Claim:
        kind, celery = kind_of(row.kind), self._settings.celery
        hard = min(kind.hard_limit or celery.time_limit, celery.time_limit)
        return Claim(
            id=row.id,
            kind=row.kind,
            args=row.args,
            owner_id=row.owner_id,
            attempt=row.attempt,
            failures=max(1, allowance - (row.max_attempts - row.attempt)),
            request_id=row.request_id,
            claimed=claimed,
            # A kind that names its hard limit alone may have it below the soft one of the settings.
            soft_limit=min(kind.soft_limit or celery.soft_time_limit, celery.soft_time_limit, hard),
            hard_limit=hard,
        )

    async def run(self, claim: Claim) -> None:
        """Run one claimed job to its end. Raises nothing that the job raised."""
        with ExitStack() as stack:
            stack.enter_context(context.bound(context.request_id, claim.request_id))
            stack.enter_context(context.bound(context.job_id, str(claim.id)))
            stack.enter_context(context.bound(context.user_id, str(claim.owner_id)))
            _log.info("job_started", extra={"kind": claim.kind, "attempt": claim.attempt})
            try:
                end = await self._run(claim)
            except LostError:
                end = "lost"
            except Exception:  # noqa: BLE001 - database away or our fault: the lease ends, another tries
                _log.exception("job_not_ended", extra={"kind": claim.kind, "attempt": claim.attempt})
                return
            seconds = round(time.monotonic() - claim.claimed, 3)
            _log.info("job_ended", extra={"kind": claim.kind, "end": end, "seconds": seconds})

    async def _run(self, claim: Claim) -> str:
        job, watch, task = self._start(claim)
        try:
            await asyncio.wait({task})
            reason = watch.finish()
            try:
                result = task.result()
                return await self._succeed(claim, job, result)
            except LostError:
                raise
            except JobFailed as failure:
                return await self._refused(claim, job, failure)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a job may raise
                await job.close()
                return await self._interrupted(watch, reason) if reason else await self._again(claim, error)
        finally:
            self._keeper.release()
            await job.close()

    def _start(self, claim: Claim) -> "tuple[RunningJob, Watch, asyncio.Task[Any]]":
        kind, progress = kind_of(claim.kind), Progress()
        job = RunningJob(
            id=claim.id,
            owner_id=claim.owner_id,
            attempt=claim.attempt,
            settings=self._settings,
            sessions=self._sessions,
            report=progress.report,
        )
        task = asyncio.get_running_loop().create_task(_body(kind, job, claim.args))
        watch = Watch(claim, task, progress, self._settings.jobs.lease_seconds)
        self._keeper.hold(watch)
        return job, watch, task

    async def _succeed(self, claim: Claim, job: RunningJob, result: Any) -> str:
        value = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
        await self._commit(job, moves.succeed(claim.id, claim.attempt, value))
        return "succeeded"

    async def _refused(self, claim: Claim, job: RunningJob, failure: JobFailed) -> str:
        try:
            return await self._fail(claim, job, failure)
        except LostError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the effects that it keeps may raise
            await job.close()
            return await self._again(claim, error)

    async def _fail(self, claim: Claim, job: RunningJob, failure: JobFailed) -> str:
        if not failure.keep_effects:
            await job.rollback()
        error = {"code": failure.code, "message": failure.reason}
        await self._commit(job, moves.fail(claim.id, claim.attempt, error))
        return "failed"

    async def _commit(self, job: RunningJob, move: Any) -> None:
        """Commit the job's effects and its end together, or neither."""
        session = job.session
        if (await session.execute(move)).one_or_none() is None:
            await session.rollback()
            raise LostError
        await session.commit()
        self._doorbell.ring(queues_to_ring(session))

    async def _interrupted(self, watch: Watch, reason: Reason) -> str:
        # What the job started and left behind must not go on without it.
        await asyncio.to_thread(self._kill_tools)
        if reason is Reason.LOST:
            raise LostError
        await self._move(settlement(watch, reason))
        return str(reason)

    async def _again(self, claim: Claim, error: BaseException) -> str:
        _log.warning("job_attempt_failed", extra={"kind": claim.kind}, exc_info=error)
        told = _told(claim, error)
        if _is_outage(error):
            move = moves.wait_out(claim.id, claim.attempt, told, delay=backoff(claim.attempt))
        else:
            move = moves.try_again(claim.id, claim.attempt, told, delay=backoff(claim.failures))
        return str((await self._move(move)).state)

    async def _move(self, statement: Any) -> Any:
        async with transaction(self._sessions) as session:
            row = (await session.execute(statement)).one_or_none()
        if row is None:
            raise LostError
        return row


def _is_outage(error: BaseException) -> bool:
    """Whether something is away that others must bring back: no fault of the job, which waits for it."""
    away = isinstance(error, ServiceUnavailableException | InsufficientStorageException)
    return away or is_unavailable(error)


def _told(claim: Claim, error: BaseException) -> dict[str, str]:
    """What the owner is told: our own words where there are some, and never those of a library."""
    if isinstance(error, AppException):
        return {"code": error.code, "message": error.message}
    name = type(error).__name__
    return {
        "code": "unexpected_error",
        "message": f"An unexpected error ended attempt {claim.attempt} ({name}).",
    }


async def _body(kind: Kind, job: RunningJob, args: dict[str, Any]) -> Any:
    return await kind.body(job, kind.args_model.model_validate(args))
