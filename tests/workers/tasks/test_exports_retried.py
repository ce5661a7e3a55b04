"""Exports whose jobs are tried again when they can no longer, or not now, be made."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, func, select, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.data_export import DataExport
from app.models.job import Job, JobState
from app.models.user import User
from app.services import jobs
from app.services.accounts import exports
from app.services.jobs import JobFailed
from app.services.workspace import Workspace
from tests.accounts import OWNER
from tests.workers.child import Child
from tests.workers.conftest import child, leased
from tests.workers.tasks.test_accounts import ask_export, exported, work

__all__ = ["child", "leased"]


async def job_of(sessions: Sessions, export_id: uuid.UUID) -> Job:
    async with sessions() as session:
        row = await session.get_one(DataExport, export_id)
        assert row.job_id is not None
        return await session.get_one(Job, row.job_id)


async def cancelled(sessions: Sessions) -> tuple[uuid.UUID, uuid.UUID]:
    """An export that was cancelled, and its job."""
    export_id = await ask_export(sessions)
    job_id = (await job_of(sessions, export_id)).id
    async with transaction(sessions) as session:
        await jobs.cancel_job(session, job_id, owner_id=OWNER)
    return export_id, job_id


async def retry(sessions: Sessions, child: Child, job_id: uuid.UUID) -> Job:
    async with transaction(sessions) as session:
        await jobs.retry_job(session, job_id, owner_id=OWNER)
    await work(child, "media")
    async with sessions() as session:
        return await session.get_one(Job, job_id)


async def objects(settings: AppSettings) -> list[str]:
    return [found.key async for page in Workspace.from_settings(settings).store.pages() for found in page]


async def test_an_export_that_was_cancelled_can_be_made_after_all(child: Child, sessions: Sessions) -> None:
    export_id, job_id = await cancelled(sessions)
    assert (await retry(sessions, child, job_id)).state == JobState.SUCCEEDED
    assert (await exported(sessions, export_id)).object_key is not None


async def test_an_export_that_was_forgotten_is_not_made(
    child: Child, sessions: Sessions, settings: AppSettings
) -> None:
    export_id, job_id = await cancelled(sessions)
    await child.do(delete(DataExport).where(DataExport.id == export_id))
    job = await retry(sessions, child, job_id)
    assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, "export_gone")
    assert "ask for another one" in (job.error or {})["message"]
    assert await objects(settings) == []


@pytest.mark.parametrize("ended", ["disabled_at", "deleted_at"])
async def test_nothing_is_made_for_an_account_that_has_ended(
    child: Child, sessions: Sessions, settings: AppSettings, ended: str
) -> None:
    _, job_id = await cancelled(sessions)
    await child.do(update(User).where(User.id == OWNER).values({ended: func.now()}))
    job = await retry(sessions, child, job_id)
    assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, "export_gone")
    assert await objects(settings) == []


async def test_an_export_waits_for_no_other_that_runs_but_says_so(child: Child, sessions: Sessions) -> None:
    first, first_job = await cancelled(sessions)
    second = await ask_export(sessions)
    runs = {"state": JobState.RUNNING, "started_at": datetime.now(UTC) - timedelta(seconds=9)}
    leased = {"lease_expires_at": datetime.now(UTC) + timedelta(days=1)}
    second_job = (await job_of(sessions, second)).id
    await child.do(update(Job).where(Job.id == second_job).values(runs | leased))
    job = await retry(sessions, child, first_job)
    assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, "export_being_made")
    assert (await exported(sessions, first)).object_key is None


async def test_of_two_exports_the_one_that_began_first_goes_on(sessions: Sessions) -> None:
    first, _ = await cancelled(sessions)
    second = await ask_export(sessions)
    began = {first: datetime.now(UTC), second: datetime.now(UTC) - timedelta(seconds=1)}
    for export_id, moment in began.items():
        job_id = (await job_of(sessions, export_id)).id
        async with transaction(sessions) as session:
            values = {"state": JobState.RUNNING, "started_at": moment, "finished_at": None}
            values |= {"lease_expires_at": func.now()}
            await session.execute(update(Job).where(Job.id == job_id).values(values))
    async with sessions() as session:
        await exports.require_due(session, second, user_id=OWNER)
        with pytest.raises(JobFailed, match="being made"):
            await exports.require_due(session, first, user_id=OWNER)


async def test_what_was_made_for_an_export_that_is_gone_by_then_is_removed(
    sessions: Sessions, settings: AppSettings
) -> None:
    workspace = Workspace.from_settings(settings)
    stored = await workspace.keep(b"a copy")
    with pytest.raises(JobFailed, match="ask for another one"):
        async with transaction(sessions) as session:
            await exports.complete(session, workspace, uuid.uuid4(), stored)
    assert not workspace.path(stored.key).exists()
    async with sessions() as session:
        assert list(await session.scalars(select(DataExport.id))) == []
