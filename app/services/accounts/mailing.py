"""Asking for a mail: the request only leaves a note, the worker decides what is sent, and to whom."""

import uuid
from datetime import timedelta
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AppSettings
from app.exceptions.base import ServiceUnavailableException
from app.models.job import Job, JobState
from app.services.jobs import enqueue
from app.services.users import SYSTEM_OWNER

MAIL: Final = "accounts.mail"
"""The name of the job that writes and sends a mail."""


class Occasion(StrEnum):
    """Why somebody gets a mail."""

    REGISTERED = "registered"
    VERIFICATION_ASKED = "verification_asked"
    RESET_ASKED = "reset_asked"
    PASSWORD_SET = "password_set"  # noqa: S105 - an occasion's name
    ADDRESS_CHANGE_ASKED = "address_change_asked"
    ADDRESS_CHANGED = "address_changed"


class MailArgs(BaseModel):
    """What happened, at which address. Never a token: the worker makes it when the mail goes out."""

    model_config = ConfigDict(extra="forbid")

    occasion: Occasion
    email: str
    user_id: uuid.UUID | None = None


class MailNotConfiguredException(ServiceUnavailableException):
    """No mail can be sent, so nothing that needs one is begun."""

    code = "mail_not_configured"
    default_message = "This server cannot send mail: its operator must set SMTP_HOST and EMAIL_FROM."


def require_mail(settings: AppSettings) -> None:
    """See that a mail would arrive; while developing it is written to the log instead.

    Raises:
        MailNotConfiguredException: it would not.
    """
    if not settings.email.smtp_host and not settings.app_env.is_lenient:
        raise MailNotConfiguredException


async def ask(
    session: AsyncSession, occasion: Occasion, email: str, *, user_id: uuid.UUID | None = None
) -> None:
    """Ask for a mail in the caller's transaction.

    The same is done for every address, and the job is nobody's to see: a request tells nothing of it.
    """
    args = MailArgs(occasion=occasion, email=email, user_id=user_id)
    await enqueue(session, MAIL, args, owner_id=SYSTEM_OWNER)


_WITHOUT_ADDRESS: Final = Job.args.concat(cast({"email": ""}, JSONB))


async def forget_address(session: AsyncSession, job_id: uuid.UUID) -> None:
    """Take the address out of a mail job that ends with this transaction; its row is kept for a while."""
    await session.execute(update(Job).where(Job.id == job_id).values(args=_WITHOUT_ADDRESS))


async def forget_addresses(session: AsyncSession, *, days: int, limit: int) -> int:
    """Take the addresses out of up to ``limit`` mail jobs that were given up; gives how many.

    Attempts that failed, or whose worker died, do not know that they are the last. Of a job that has ended
    for less than ``days`` days nothing is taken.
    """
    ended = Job.finished_at <= func.now() - literal(timedelta(days=days))
    # As the index has it: jobs of other owners are not looked at.
    given_up = (Job.owner_id == SYSTEM_OWNER, Job.state.in_((JobState.FAILED, JobState.CANCELLED)))
    holding = (
        select(Job.id)
        .where(*given_up, ended, Job.kind == MAIL, Job.args["email"].astext != "")
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    forgotten = await session.scalars(
        update(Job).where(Job.id.in_(holding)).values(args=_WITHOUT_ADDRESS).returning(Job.id)
    )
    return len(forgotten.all())
