"""Taking what belonged to a deleted account."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions, transaction
from app.models.audit_event import AuditEvent
from app.models.job import Job, JobState
from app.models.media_file import MediaFile
from app.services.accounts import erasure
from app.services.accounts.erasure import Begin, erase
from app.services.workspace import Workspace
from app.services.workspace.locks import hold
from tests.accounts import OTHER, OWNER
from tests.servers import WAITING_FOR_LOCKS
from tests.services.accounts.belongings import give, left, media
from tests.services.accounts.conftest import MarkDeleted
from tests.workers.waiting import until

STEPS = 18
"""Transactions of one erasure, counted by the test below."""


class DeathError(Exception):
    """Stands for ``kill -9``: nothing after it is done, and its transaction never commits."""


async def test_everything_of_the_account_goes_and_nothing_of_others(
    sessions: Sessions, workspace: Workspace, begin: Begin, mark_deleted: MarkDeleted
) -> None:
    own, others = (
        await give(sessions, workspace, OWNER, "mine"),
        await give(sessions, workspace, OTHER, "other"),
    )
    before = await left(sessions, OTHER)
    await mark_deleted(OWNER)
    assert await erase(begin, workspace, OWNER, patience=0)
    assert set((await left(sessions, OWNER)).values()) == {0}
    assert await left(sessions, OTHER) == before
    assert [workspace.path(key).exists() for key in own] == [False] * len(own)
    assert [workspace.path(key).exists() for key in others] == [True] * len(others)


async def test_the_audit_log_outlives_the_account_and_tells_its_end(
    sessions: Sessions, workspace: Workspace, begin: Begin, mark_deleted: MarkDeleted
) -> None:
    await give(sessions, workspace, OWNER, "mine")
    await mark_deleted(OWNER)
    await erase(begin, workspace, OWNER, patience=0)
    assert not await erase(begin, workspace, OWNER, patience=0)
    async with sessions() as session:
        events = await session.scalars(select(AuditEvent.event).where(AuditEvent.user_id == OWNER))
        assert sorted(events) == ["account.deleted", "account.registered"]


async def test_an_account_that_was_not_deleted_is_left_alone(
    sessions: Sessions, workspace: Workspace, begin: Begin
) -> None:
    keys = await give(sessions, workspace, OWNER, "mine")
    before = await left(sessions, OWNER)
    assert not await erase(begin, workspace, OWNER, patience=0)
    assert not await erase(begin, workspace, uuid.uuid4(), patience=0)
    assert await left(sessions, OWNER) == before
    assert all(workspace.path(key).exists() for key in keys)


@pytest.mark.parametrize("late", [False, True], ids=["before", "at the commit of"])
@pytest.mark.parametrize("step", range(STEPS))
async def test_a_death_at_any_step_is_made_up_for(
    *,
    sessions: Sessions,
    workspace: Workspace,
    begin: Begin,
    mark_deleted: MarkDeleted,
    step: int,
    late: bool,
) -> None:
    keys = await give(sessions, workspace, OWNER, "mine")
    await mark_deleted(OWNER)
    done = 0

    @asynccontextmanager
    async def dying() -> AsyncIterator[AsyncSession]:
        nonlocal done
        if done == step and not late:
            raise DeathError
        async with begin() as session:
            yield session
            if done == step:
                raise DeathError
            done += 1

    with pytest.raises(DeathError):
        await erase(dying, workspace, OWNER, patience=0)
    assert (await left(sessions, OWNER))["users"] == 1
    assert await erase(begin, workspace, OWNER, patience=0)
    assert set((await left(sessions, OWNER)).values()) == {0}
    assert not any(workspace.path(key).exists() for key in keys)


async def test_the_steps_are_as_many_as_are_tried(
    sessions: Sessions, workspace: Workspace, begin: Begin, mark_deleted: MarkDeleted
) -> None:
    await give(sessions, workspace, OWNER, "mine")
    await mark_deleted(OWNER)
    steps = 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[AsyncSession]:
        nonlocal steps
        async with begin() as session:
            yield session
        steps += 1

    await erase(counted, workspace, OWNER, patience=0)
    assert steps == STEPS


async def test_content_that_another_account_has_too_stays(
    sessions: Sessions, workspace: Workspace, begin: Begin, mark_deleted: MarkDeleted
) -> None:
    stored = await workspace.keep(b"shared")
    async with transaction(sessions) as session:
        session.add_all([media(OWNER, stored.key), media(OWNER, stored.key), media(OTHER, stored.key)])
    await mark_deleted(OWNER)
    await erase(begin, workspace, OWNER, patience=0)
    assert workspace.path(stored.key).exists()
    await mark_deleted(OTHER)
    await erase(begin, workspace, OTHER, patience=0)
    assert not workspace.path(stored.key).exists()


async def test_content_that_is_being_uploaded_anew_stays(
    sessions: Sessions, workspace: Workspace, begin: Begin, mark_deleted: MarkDeleted
) -> None:
    """Its object is in place already, its row has not committed yet."""
    stored = await workspace.keep(b"shared")
    async with transaction(sessions) as session:
        session.add(media(OWNER, stored.key))
    await mark_deleted(OWNER)
    async with transaction(sessions) as uploading:
        await hold(uploading, stored.key)
        await erase(begin, workspace, OWNER, patience=0)
    assert workspace.path(stored.key).exists()


async def test_any_number_of_rows_is_taken(
    sessions: Sessions,
    workspace: Workspace,
    begin: Begin,
    mark_deleted: MarkDeleted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasure, "STEP", 2)
    async with transaction(sessions) as session:
        session.add_all([media(OWNER, f"{number:064}") for number in range(5)])
        session.add_all([Job(owner_id=OWNER, kind="k", queue="default", args={}) for _ in range(5)])
    await mark_deleted(OWNER)
    await erase(begin, workspace, OWNER, patience=0)
    assert set((await left(sessions, OWNER)).values()) == {0}


async def test_running_jobs_are_told_to_stop_and_waited_for(
    sessions: Sessions, workspace: Workspace, begin: Begin, mark_deleted: MarkDeleted
) -> None:
    async with transaction(sessions) as session:
        job = Job(owner_id=OWNER, kind="k", queue="default", args={}, state=JobState.RUNNING)
        job.lease_expires_at = func.now()
        session.add_all([job, media(OWNER, "0" * 64)])
    await mark_deleted(OWNER)
    erasing = asyncio.create_task(erase(begin, workspace, OWNER, patience=3600))

    async def is_asked() -> bool:
        async with sessions() as session:
            return (await session.get_one(Job, job.id)).cancel_requested_at is not None

    await until(is_asked, "the wish to cancel")
    async with transaction(sessions) as session:
        assert await session.scalar(select(func.count()).select_from(MediaFile)) == 1, "it still runs"
        values = {"state": JobState.CANCELLED, "lease_expires_at": None, "finished_at": func.now()}
        await session.execute(update(Job).where(Job.id == job.id).values(values))
    assert await erasing
    assert set((await left(sessions, OWNER)).values()) == {0}


async def test_a_job_that_does_not_stop_loses_its_row(
    sessions: Sessions, workspace: Workspace, begin: Begin, mark_deleted: MarkDeleted
) -> None:
    async with transaction(sessions) as session:
        job = Job(owner_id=OWNER, kind="k", queue="default", args={}, state=JobState.RUNNING)
        job.lease_expires_at = func.now()
        session.add(job)
    await mark_deleted(OWNER)
    assert await erase(begin, workspace, OWNER, patience=0)
    assert set((await left(sessions, OWNER)).values()) == {0}


async def test_an_upload_that_commits_at_the_last_moment_leaves_no_object(
    sessions: Sessions, workspace: Workspace, begin: Begin, mark_deleted: MarkDeleted
) -> None:
    await give(sessions, workspace, OWNER, "mine")
    stored = await workspace.keep(b"late")
    await mark_deleted(OWNER)
    steps = 0

    async with sessions() as upload:

        async def commit_when_awaited() -> None:
            async def is_awaited() -> bool:
                async with sessions() as session:
                    return bool(await session.scalar(WAITING_FOR_LOCKS))

            await until(is_awaited, "the erasure waits")
            await upload.commit()

        @asynccontextmanager
        async def uploading() -> AsyncIterator[AsyncSession]:
            nonlocal steps
            steps += 1
            if steps == STEPS:
                upload.add(media(OWNER, stored.key))
                await upload.flush()
                committing.append(asyncio.create_task(commit_when_awaited()))
            async with begin() as session:
                yield session

        committing: list[asyncio.Task[None]] = []
        assert await erase(uploading, workspace, OWNER, patience=0)
        await asyncio.gather(*committing)
    assert committing
    assert not workspace.path(stored.key).exists()
