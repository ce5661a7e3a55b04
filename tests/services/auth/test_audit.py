"""The audit log: nothing changes what it holds, and what is asked of it is found by an index."""

import uuid
from collections.abc import Awaitable
from typing import Any

import pytest
from sqlalchemy import delete, event, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions, transaction
from app.models.audit_event import AuditEvent
from app.models.user import UserRole
from app.services.auth import audit
from app.services.auth.audit import Event
from app.services.auth.origin import Origin
from app.services.auth.principal import Principal
from app.services.auth.scopes import ROLE_SCOPES
from tests.accounts import ADMIN, OWNER

REFUSED = "the audit log is append-only"


@pytest.fixture
async def written(sessions: Sessions) -> Sessions:
    """A log with one committed event."""
    async with transaction(sessions) as session:
        await audit.record(session, Event.LOGIN, user_id=OWNER)
    return sessions


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET event = 'x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "INSERT INTO audit_log (id, event) SELECT id, 'x' FROM audit_log "
        "ON CONFLICT (id) DO UPDATE SET event = 'x'",
        "MERGE INTO audit_log a USING audit_log b ON a.id = b.id WHEN MATCHED THEN DELETE",
    ],
)
async def test_the_database_refuses_every_change(written: Sessions, statement: str) -> None:
    with pytest.raises(DBAPIError, match=REFUSED):
        async with transaction(written) as session:
            await session.execute(text(statement))
    await unchanged(written)


async def test_rows_that_were_read_cannot_be_changed(written: Sessions) -> None:
    with pytest.raises(DBAPIError, match=REFUSED):
        async with transaction(written) as session:
            (await session.scalars(select(AuditEvent))).one().event = "x"
    await unchanged(written)


async def test_rows_that_were_read_cannot_be_deleted(written: Sessions) -> None:
    with pytest.raises(DBAPIError, match=REFUSED):
        async with transaction(written) as session:
            await session.delete((await session.scalars(select(AuditEvent))).one())
    await unchanged(written)


@pytest.mark.parametrize("statement", [update(AuditEvent).values(event="x"), delete(AuditEvent)])
async def test_statements_of_the_models_are_refused(written: Sessions, statement: object) -> None:
    with pytest.raises(DBAPIError, match=REFUSED):
        async with transaction(written) as session:
            await session.execute(statement)  # type: ignore[call-overload]  # both are statements
    await unchanged(written)


async def test_a_deleted_account_leaves_its_events(written: Sessions) -> None:
    async with transaction(written) as session:
        await session.execute(text("DELETE FROM users WHERE id = :id"), {"id": OWNER})
    await unchanged(written)


async def unchanged(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        rows = (await session.execute(select(AuditEvent.event, AuditEvent.user_id))).all()
    assert [tuple(row) for row in rows] == [(Event.LOGIN, OWNER)]


async def test_an_event_goes_with_the_transaction_that_it_speaks_of(sessions: Sessions) -> None:
    async with sessions() as session:
        await audit.record(session, Event.LOGIN, user_id=OWNER)
        await session.rollback()
    async with transaction(sessions) as session:
        assert (await session.scalars(select(AuditEvent))).all() == []


async def test_an_event_tells_who_from_where_by_what(session: AsyncSession) -> None:
    by = Principal(ADMIN, UserRole.ADMIN, ROLE_SCOPES[UserRole.ADMIN], session_id=uuid.uuid4())
    origin = Origin("192.0.2.7", "curl/8")
    await audit.record(session, Event.DISABLED, user_id=OWNER, by=by, origin=origin, why="spam")
    row = (await session.scalars(select(AuditEvent))).one()
    assert (row.user_id, row.actor_id, row.session_id) == (OWNER, ADMIN, by.session_id)
    assert (row.address, row.user_agent, row.details) == ("192.0.2.7", "curl/8", {"why": "spam"})


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "ix_audit_log_created_at"),
        ({"user_id": OWNER}, "ix_audit_log_user_id"),
        ({"event": "event7"}, "ix_audit_log_event"),
    ],
)
@pytest.mark.parametrize("paged", [False, True])
async def test_what_is_asked_of_a_long_log_is_found_by_an_index(
    session: AsyncSession, asked: dict[str, Any], index: str, paged: bool
) -> None:
    await session.execute(
        text(
            "INSERT INTO audit_log (id, event, user_id, created_at) "
            "SELECT gen_random_uuid(), 'event' || n % 50, CASE n % 50 WHEN 0 THEN CAST(:id AS uuid) "
            "ELSE gen_random_uuid() END, now() - n * interval '1 minute' FROM generate_series(1, 5000) n"
        ),
        {"id": OWNER},
    )
    await session.execute(text("ANALYZE audit_log"))
    after = None
    if paged:
        after = await session.scalar(
            select(AuditEvent.id).order_by(AuditEvent.created_at).offset(2500).limit(1)
        )
    explained = await explained_last(session, audit.page(session, limit=20, after=after, **asked))
    assert index in explained
    assert "Sort" not in explained


async def explained_last(session: AsyncSession, work: Awaitable[object]) -> str:
    """The plan of the last statement that some work executes."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    await work
    event.remove(engine, "before_cursor_execute", note)
    statement, parameters = seen[-1]
    connection = await session.connection()
    rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
    return "\n".join(row[0] for row in rows)
