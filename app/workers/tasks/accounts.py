"""Jobs of accounts: their mails, their exports, their end."""

import uuid
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from app.core.database import transaction
from app.core.security import KeyRing
from app.services.accounts import archive, deletion, exports, mailing
from app.services.accounts.erasure import erase
from app.services.accounts.letters import Stationery
from app.services.accounts.mailing import MailArgs, Occasion
from app.services.auth import audit
from app.services.auth.audit import Event
from app.services.auth.tokens import Tokens
from app.services.jobs import JobFailed, RunningJob, job
from app.services.workspace import Workspace
from app.workers import runtime
from app.workers.tasks.mail import deliver

MAIL_ATTEMPTS: Final = 10
"""Over about a quarter of an hour, which outlasts greylisting and most outages of mail servers."""

DELETE_ATTEMPTS: Final = 1000
"""Over a week: what was promised is not given up because the storage is away for a day."""


@job(mailing.MAIL, MailArgs, max_attempts=MAIL_ATTEMPTS)
async def send_mail(job: RunningJob, args: MailArgs) -> dict[str, bool]:
    """Write the mail of an occasion, with a token that is made here and nowhere kept, and send it."""
    auth = job.settings.auth
    stationery = Stationery(job.settings, Tokens(KeyRing.from_settings(auth), auth))
    async with job.reading() as session:
        found = await stationery.write(session, args)
    sent = False
    try:
        if found is not None:
            letter, user_id = found
            sent = await deliver(job.settings, letter, name=job.id)
            if args.occasion is Occasion.RESET_ASKED:
                await audit.record(job.session, Event.PASSWORD_RESET_ASKED, user_id=user_id)
    except JobFailed:
        await mailing.forget_address(job.session, job.id)
        raise
    await mailing.forget_address(job.session, job.id)
    return {"sent": sent}


class ExportArgs(BaseModel):
    """The export to make."""

    model_config = ConfigDict(extra="forbid")

    export_id: uuid.UUID


@job(exports.EXPORT, ExportArgs, queue="media")
async def export_account(job: RunningJob, args: ExportArgs) -> dict[str, Any]:
    """Put all that belongs to the account into one file."""
    workspace = Workspace.from_settings(job.settings)
    async with job.reading() as session:
        await exports.require_due(session, args.export_id, user_id=job.owner_id)
    stored = await archive.make(workspace, job.reading, job.owner_id, job.progress)
    await exports.complete(job.session, workspace, args.export_id, stored)
    return {"export_id": str(args.export_id), "size": stored.size}


class DeleteArgs(BaseModel):
    """The account to take."""

    model_config = ConfigDict(extra="forbid")

    user_id: uuid.UUID


@job(deletion.DELETE, DeleteArgs, queue="maintenance", max_attempts=DELETE_ATTEMPTS)
async def delete_account(job: RunningJob, args: DeleteArgs) -> dict[str, bool]:
    """Take a deleted account with all that belongs to it. May be repeated."""
    limits = job.settings.jobs
    begin = partial(transaction, runtime.current().sessions)
    workspace = Workspace.from_settings(job.settings)
    patience = limits.cancel_grace + 2 * limits.lease_seconds
    return {"deleted": await erase(begin, workspace, args.user_id, patience=patience)}
