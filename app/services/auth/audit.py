"""The audit log: one row for each security event, written in the transaction of what it speaks of."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import context
from app.exceptions.base import NotFoundException
from app.models.audit_event import AuditEvent
from app.services.auth.origin import Origin
from app.services.auth.principal import Principal


class Event(StrEnum):
    """What is written down."""

    REGISTERED = "account.registered"
    REGISTERED_AGAIN = "account.registered_again"
    EMAIL_VERIFIED = "account.email_verified"
    EMAIL_CHANGED = "account.email_changed"
    CREATED = "account.created"
    UPDATED = "account.updated"
    ROLE_CHANGED = "account.role_changed"
    DISABLED = "account.disabled"
    ENABLED = "account.enabled"
    DELETION_ASKED = "account.deletion_asked"
    DELETED = "account.deleted"
    EXPORT_ASKED = "account.export_asked"
    LOGIN = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    LOGIN_LIMITED = "login.limited"
    LOGOUT = "session.ended"
    SESSION_REVOKED = "session.revoked"
    SESSIONS_REVOKED = "session.all_revoked"
    REFRESH_REUSED = "session.refresh_reused"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - an event's name
    PASSWORD_RESET_ASKED = "password.reset_asked"  # noqa: S105 - an event's name
    PASSWORD_RESET = "password.reset"  # noqa: S105 - an event's name
    KEY_CREATED = "api_key.created"
    KEY_REVOKED = "api_key.revoked"


async def record(
    session: AsyncSession,
    event: Event,
    *,
    user_id: uuid.UUID | None = None,
    by: Principal | None = None,
    origin: Origin | None = None,
    **details: Any,
) -> None:
    """Write an event down; it is there if, and only if, the transaction commits.

    Args:
        session: the transaction.
        event: what happened.
        user_id: the account that it happened to; that of the principal where it is not given.
        by: who did it, where that is known.
        origin: from where.
        details: JSON-like, for people; never a secret.
    """
    origin = origin or Origin()
    session.add(
        AuditEvent(
            event=event,
            user_id=user_id or (by.user_id if by else None),
            actor_id=by.user_id if by else None,
            session_id=by.session_id if by else None,
            api_key_id=by.api_key_id if by else None,
            address=origin.address,
            user_agent=origin.user_agent,
            request_id=context.request_id.get(),
            details=details,
        )
    )
    await session.flush()


async def page(
    session: AsyncSession,
    *,
    limit: int,
    after: uuid.UUID | None = None,
    event: str | None = None,
    user_id: uuid.UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[list[AuditEvent], uuid.UUID | None]:
    """A part of the log, newest first, and the event after which the next part begins, if there is one.

    Args:
        session: the transaction.
        limit: events of this part at most.
        after: the last event of the part before.
        event: only events of this name.
        user_id: only what happened to this account.
        since: only events of this moment or later.
        until: only events before this moment.

    Raises:
        NotFoundException: there is no event ``after``.
    """
    wanted: list[ColumnElement[bool]] = []
    if event is not None:
        wanted.append(AuditEvent.event == event)
    if user_id is not None:
        wanted.append(AuditEvent.user_id == user_id)
    if since is not None:
        wanted.append(AuditEvent.created_at >= since)
    if until is not None:
        wanted.append(AuditEvent.created_at < until)
    if after is not None:
        wanted.append(await _older_than(session, after))
    rows = select(AuditEvent).where(*wanted).order_by(AuditEvent.created_at.desc(), AuditEvent.id.desc())
    found = list(await session.scalars(rows.limit(limit + 1)))
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def _older_than(session: AsyncSession, event_id: uuid.UUID) -> ColumnElement[bool]:
    last = await session.get(AuditEvent, event_id)
    if last is None:
        raise NotFoundException("The cursor is none that this list has given.")
    return tuple_(AuditEvent.created_at, AuditEvent.id) < tuple_(literal(last.created_at), literal(last.id))
