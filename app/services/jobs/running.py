"""What a job's function is given, and what it may raise."""

import logging
import math
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.masking import mask_text
from app.services.jobs import logs
from app.services.jobs.logs import Level

Report = Callable[[float, str | None], None]

_log: Final = logging.getLogger(__name__)


def storable(words: str) -> str:
    """Without what PostgreSQL can store in no text: NUL, and halves of surrogate pairs."""
    return words.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


class JobFailed(Exception):
    """The job cannot succeed, however often it is tried; its owner reads the reason.

    Args:
        reason: for people; nothing that the owner may not see.
        code: for programs.
        keep_effects: commit what ``job.session`` did so far together with the failure.
    """

    def __init__(self, reason: str, *, code: str = "job_failed", keep_effects: bool = False) -> None:
        super().__init__(reason)
        self.reason: Final = storable(reason)
        self.code: Final = storable(code)
        self.keep_effects: Final = keep_effects


class RunningJob:
    """One attempt at a job, while it runs.

    Work first, then write: ``session`` is the job's final transaction, which commits together with its
    completion or not at all. It must not be opened before long work: an idle transaction is ended by the
    server. Cancelling, a lost lease, a limit and a shutdown all arrive as ``asyncio.CancelledError``.
    """

    def __init__(
        self,
        *,
        id: uuid.UUID,  # noqa: A002 - the column's name
        owner_id: uuid.UUID,
        attempt: int,
        settings: AppSettings,
        sessions: Sessions,
        report: Report,
    ) -> None:
        self.id: Final = id
        self.owner_id: Final = owner_id
        self.attempt: Final = attempt
        self.settings: Final = settings
        self._sessions = sessions
        self._report = report
        self._session: AsyncSession | None = None
        self._lines = 0

    async def progress(self, share: float, word: str | None = None) -> None:
        """Tell how far the job is; costs nothing, it is written about once a second.

        Args:
            share: from 0 to 1; anything beyond is cut. What is no number tells nothing.
            word: what it does now.
        """
        if math.isfinite(share):
            self._report(min(max(share, 0.0), 1.0), None if word is None else storable(word))

    async def log(self, message: str, *, level: Level = "info") -> None:
        """Tell the owner something, at once and whatever becomes of this attempt.

        ``logs.MOST_LINES`` of an attempt are kept. Where the database is away the operator's log alone has
        the line: that is no reason for a job to fail.

        Args:
            message: for people; nothing that the owner may not see.
            level: how much it matters.
        """
        told = mask_text(storable(message))
        _log.info("job_told", extra={"told": told, "attempt": self.attempt})
        if self._lines > logs.MOST_LINES:
            return
        self._lines += 1
        if self._lines > logs.MOST_LINES:
            told, level = "More was written than is kept.", "warning"
        try:
            async with transaction(self._sessions) as session:
                await logs.write(
                    session,
                    self.id,
                    attempt=self.attempt,
                    level=level,
                    message=told,
                    is_first=self._lines == 1,
                )
        except (SQLAlchemyError, OSError) as error:
            _log.warning("job_line_not_kept", extra={"error": str(error)})

    @property
    def session(self) -> AsyncSession:
        """The final transaction; the runner commits it with the completion. Never commit it yourself."""
        if self._session is None:
            self._session = self._sessions()
        return self._session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A short read-only transaction; what it read can be used after it."""
        async with self._sessions() as session:
            await session.connection(execution_options={"postgresql_readonly": True})
            yield session
            await session.rollback()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A short transaction that commits at its end, whatever becomes of the job.

        Two attempts may be here at the same time: write only what is safe to repeat.
        """
        async with transaction(self._sessions) as session:
            yield session

    async def rollback(self) -> None:
        """Undo what ``session`` did; the runner calls it before it writes down a failure."""
        if self._session is not None:
            await self._session.rollback()

    async def close(self) -> None:
        """Roll back what was not committed and give the connection back; the runner calls it at the end."""
        if self._session is not None:
            await self._session.close()
