"""The jobs of accounts."""

import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.audit_event import AuditEvent
from app.models.data_export import DataExport
from app.models.job import Job, JobState
from app.models.user import User, UserRole
from app.services.accounts import deletion, exports
from app.services.accounts.mailing import MAIL, Occasion, ask, forget_addresses
from app.services.auth.origin import Origin
from app.services.auth.principal import Principal
from app.services.auth.scopes import Scope
from app.services.jobs import enqueue
from app.services.users import SYSTEM_OWNER
from app.services.workspace import Workspace
from tests.accounts import EMAILS, OTHER, OWNER
from tests.services.accounts.belongings import give, left
from tests.services.mail.conftest import StartServer, start_server
from tests.workers.child import Child
from tests.workers.conftest import StartWorker, child, leased, start_worker
from tests.workers.waiting import until

__all__ = ["child", "leased", "start_server", "start_worker"]

PRINCIPAL = Principal(OWNER, UserRole.USER, frozenset(Scope))


async def row(sessions: Sessions, kind: str) -> Job:
    async with sessions() as session:
        return (await session.scalars(select(Job).where(Job.kind == kind))).one()


async def work(child: Child, queue: str = "default") -> None:
    claim = await child.executor.claim(queue)
    assert claim is not None
    await child.executor.run(claim)


@pytest.fixture
def with_server(leased: AppSettings, start_server: StartServer) -> Callable[..., Any]:
    """Give the child's settings a mail server."""

    def start(child: Child, **options: object) -> Any:
        server = start_server(**options)
        child.executor._settings = leased.model_copy(update={"email": server.settings()})
        return server

    return start


async def forgot(sessions: Sessions, email: str = EMAILS[OWNER]) -> None:
    async with transaction(sessions) as session:
        await ask(session, Occasion.RESET_ASKED, email)


async def test_a_mail_is_sent_and_its_address_is_not_kept(
    child: Child, sessions: Sessions, with_server: Callable[..., Any]
) -> None:
    server = with_server(child)
    await forgot(sessions)
    await work(child)
    job = await row(sessions, MAIL)
    assert (job.state, job.result) == (JobState.SUCCEEDED, {"sent": True})
    assert [envelope.rcpt_tos for envelope in server.taken] == [[EMAILS[OWNER]]]
    assert EMAILS[OWNER] not in str(job.args)
    async with sessions() as session:
        [event] = await session.scalars(select(AuditEvent))
    assert (event.event, event.user_id) == ("password.reset_asked", OWNER)


async def test_nobody_gets_a_mail_at_an_address_without_an_account(
    child: Child, sessions: Sessions, with_server: Callable[..., Any]
) -> None:
    server = with_server(child)
    await forgot(sessions, "nobody@example.org")
    await work(child)
    job = await row(sessions, MAIL)
    assert (job.state, job.result, server.taken) == (JobState.SUCCEEDED, {"sent": False}, [])
    assert "nobody" not in str(job.args)


async def test_a_mail_that_is_put_off_is_tried_again(
    child: Child, sessions: Sessions, with_server: Callable[..., Any]
) -> None:
    server = with_server(child, answers=["451 greylisted"])
    await forgot(sessions)
    await work(child)
    waiting = await row(sessions, MAIL)
    assert (waiting.state, waiting.max_attempts) == (JobState.RETRYING, 10)
    assert EMAILS[OWNER] not in str(waiting.error)
    await child.do(update(Job).values(run_at=func.now()))
    await work(child)
    assert (await row(sessions, MAIL)).state == JobState.SUCCEEDED
    assert len(server.taken) == 1


async def test_a_mail_that_is_refused_for_good_says_so_and_keeps_no_address(
    child: Child, sessions: Sessions, with_server: Callable[..., Any]
) -> None:
    with_server(child, recipient_answer="550 no such user")
    await forgot(sessions)
    await work(child)
    job = await row(sessions, MAIL)
    assert (job.state, job.error) == (
        JobState.FAILED,
        {"code": "mail_refused", "message": "The mail server refused the recipient (550)."},
    )
    assert EMAILS[OWNER] not in str(job.args)


async def test_no_address_is_kept_of_a_mail_that_was_given_up(
    child: Child, sessions: Sessions, with_server: Callable[..., Any]
) -> None:
    with_server(child, answers=["451 later"])
    await forgot(sessions)
    await child.do(update(Job).values(max_attempts=1))
    await work(child)
    assert (await row(sessions, MAIL)).state == JobState.FAILED
    async with transaction(sessions) as session:
        assert await forget_addresses(session, days=0, limit=10) == 1
        assert await forget_addresses(session, days=0, limit=10) == 0
    assert EMAILS[OWNER] not in str((await row(sessions, MAIL)).args)


async def test_the_address_of_a_mail_that_is_still_to_be_sent_is_kept(
    child: Child, sessions: Sessions, with_server: Callable[..., Any]
) -> None:
    with_server(child, answers=["451 later"])
    await forgot(sessions)
    await work(child)
    async with transaction(sessions) as session:
        assert await forget_addresses(session, days=0, limit=10) == 0
    assert (await row(sessions, MAIL)).args["email"] == EMAILS[OWNER]


async def ask_export(sessions: Sessions) -> uuid.UUID:
    async with transaction(sessions) as session:
        return (await exports.ask(session, by=PRINCIPAL, origin=Origin())).id


async def exported(sessions: Sessions, export_id: uuid.UUID) -> DataExport:
    async with sessions() as session:
        return await session.get_one(DataExport, export_id)


async def test_an_export_is_made_and_kept_for_a_week(
    child: Child, sessions: Sessions, settings: AppSettings
) -> None:
    workspace = Workspace.from_settings(settings)
    export_id = await ask_export(sessions)
    await work(child, "media")
    export = await exported(sessions, export_id)
    assert export.object_key is not None
    path = workspace.path(export.object_key)
    assert path.stat().st_size == export.size
    with zipfile.ZipFile(path) as made:
        assert "account.json" in made.namelist()
    left_ = export.expires_at - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left_ <= timedelta(days=7)


async def test_a_new_export_takes_the_place_of_the_one_before(child: Child, sessions: Sessions) -> None:
    first = await ask_export(sessions)
    await work(child, "media")
    second = await ask_export(sessions)
    assert (await exported(sessions, first)).expires_at > datetime.now(UTC)
    await work(child, "media")
    assert (await exported(sessions, first)).expires_at <= datetime.now(UTC)
    assert (await exported(sessions, second)).expires_at > datetime.now(UTC)


async def test_expired_exports_are_forgotten_with_their_files(
    child: Child, sessions: Sessions, settings: AppSettings
) -> None:
    workspace = Workspace.from_settings(settings)
    old, new = await ask_export(sessions), None
    await work(child, "media")
    key = (await exported(sessions, old)).object_key or ""
    new = await ask_export(sessions)
    await work(child, "media")
    kept = (await exported(sessions, new)).object_key or ""
    async with transaction(sessions) as session:
        assert await exports.prune_exports(session, workspace=workspace, limit=10) == 1
    async with sessions() as session:
        assert list(await session.scalars(select(DataExport.id))) == [new]
    assert (workspace.path(key).exists(), workspace.path(kept).exists()) == (False, True)


async def test_an_account_is_erased_by_a_real_worker_that_is_killed_meanwhile(
    settings: AppSettings, sessions: Sessions, start_worker: StartWorker
) -> None:
    workspace = Workspace.from_settings(settings)
    keys = await give(sessions, workspace, OWNER, "mine")
    others = await left(sessions, OTHER)
    async with transaction(sessions) as session:
        # It runs for ever: the erasure waits for it, so that there is a moment to kill at.
        running = Job(owner_id=OWNER, kind="k", queue="default", args={}, state=JobState.RUNNING)
        running.lease_expires_at = datetime.now(UTC) + timedelta(days=1)
        session.add(running)
        await session.execute(update(User).where(User.id == OWNER).values(deleted_at=func.now()))
        await enqueue(session, deletion.DELETE, {"user_id": OWNER}, owner_id=SYSTEM_OWNER)
    first = start_worker("first", JOB_LEASE_SECONDS="3")

    async def has_begun() -> bool:
        async with sessions() as session:
            return (await session.get_one(Job, running.id)).cancel_requested_at is not None

    await until(has_begun, "the first attempt")
    first.kill()
    async with transaction(sessions) as session:
        values = {"state": JobState.CANCELLED, "lease_expires_at": None, "finished_at": func.now()}
        await session.execute(update(Job).where(Job.id == running.id).values(values))
    start_worker("second", JOB_LEASE_SECONDS="3")

    async def is_gone() -> bool:
        return (await left(sessions, OWNER))["users"] == 0

    await until(is_gone, "the end of the account")
    assert set((await left(sessions, OWNER)).values()) == {0}
    assert not any(workspace.path(key).exists() for key in keys)
    assert await left(sessions, OTHER) == others
    assert (await row(sessions, deletion.DELETE)).attempt >= 2
