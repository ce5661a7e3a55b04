"""Reads the mails that requests asked for, without a worker or a mail server."""

from sqlalchemy import select

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import KeyRing
from app.models.job import Job
from app.services.accounts.letters import Stationery
from app.services.accounts.mailing import MAIL, MailArgs
from app.services.auth.tokens import Tokens
from app.services.mail import Letter


class Postbox:
    """Takes the mail jobs that wait, and writes their letters as the worker does."""

    def __init__(self, settings: AppSettings, sessions: Sessions) -> None:
        self.sessions = sessions
        self._stationery = Stationery(settings, Tokens(KeyRing.from_settings(settings.auth), settings.auth))

    async def jobs(self) -> list[Job]:
        """The mail jobs so far, in order."""
        async with self.sessions() as session:
            return list(await session.scalars(select(Job).where(Job.kind == MAIL).order_by(Job.id)))

    async def empty(self) -> list[Letter]:
        """The letters of all mail jobs, which are gone after it."""
        letters = []
        async with transaction(self.sessions) as session:
            for job in await session.scalars(select(Job).where(Job.kind == MAIL).order_by(Job.id)):
                found = await self._stationery.write(session, MailArgs.model_validate(job.args))
                letters += [found[0]] if found else []
                await session.delete(job)
        return letters

    async def token(self) -> str:
        """The token of the one letter that waits."""
        [letter] = await self.empty()
        assert letter.link is not None
        return letter.link
