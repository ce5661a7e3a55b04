"""Events of jobs, handed on to those who wait for them, as they happen.

One connection of a process listens, whoever waits: what it hears says only which job has something new. One
query then reads it for all such jobs, and so it does after each gap: the table is the truth, and nothing that
is told twice, late or never does harm. Nobody holds a connection of the pool while waiting.
"""

import asyncio
import contextvars
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config.groups import DatabaseSettings
from app.core.database import is_unavailable
from app.core.listening import Listener
from app.models.job import EVENTS_CHANNEL
from app.services.jobs import history
from app.services.jobs.history import Event
from app.services.jobs.topic import KEPT, Topic

POLL: Final = 5.0
"""Seconds between two looks at the table while the connection listens: the net under it."""

POLL_DEAF: Final = 1.0
"""The same while it does not."""

SETTLE: Final = 0.5
"""Seconds after which a job that is newly watched is looked at once more: what was written just before the
watch could be seen is told of by nobody."""

GATHER: Final = 0.02
"""Seconds between two readings: what happens meanwhile is read together. What comes alone does not wait."""

LINGER: Final = 30.0
"""Seconds without anybody after which the connection is closed."""

RENEW: Final = history.WATCHED_FOR / 3
"""Seconds after which watches are renewed."""

_log: Final = logging.getLogger(__name__)


class Follower:
    """One who waits for the events of a job. However slow, it costs no more than its place in the table."""

    __slots__ = ("_feed", "_job_id", "_topic", "_woken", "cursor")

    def __init__(self, feed: "Feed", job_id: uuid.UUID, topic: Topic, cursor: int) -> None:
        self._feed = feed
        self._job_id = job_id
        self._topic = topic
        self._woken = asyncio.Event()
        self.cursor = cursor
        """The id of the last event that it was given."""

    def wake(self) -> None:
        """Let ``next`` look, and return."""
        self._woken.set()

    async def next(self, patience: float) -> list[Event]:
        """The events since the last that were given, in order; none once it was woken, or the time is up."""
        events = await self._since()
        if not events:
            # Who is behind, and could not read, is woken by nobody.
            seconds = patience if self.cursor >= self._topic.floor else min(patience, POLL_DEAF)
            try:
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            except TimeoutError:
                return []
            events = await self._since()
        if events:
            self.cursor = events[-1].id
        return events

    async def _since(self) -> list[Event]:
        self._woken.clear()
        events = self._topic.after(self.cursor)
        return await self._feed.read(self._job_id, self.cursor) if events is None else events


class Feed:
    """The events of one process's clients. Opens its connection for the first of them.

    Args:
        engine: reads events, statement by statement.
        database: where to listen.
        kept, poll, linger: as ``KEPT``, ``POLL`` and ``LINGER``.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        database: DatabaseSettings,
        *,
        kept: int = KEPT,
        poll: float = POLL,
        linger: float = LINGER,
    ) -> None:
        self._engine = engine
        self._kept, self._poll, self._linger = kept, poll, linger
        self._topics: dict[uuid.UUID, Topic] = {}
        self._owners: Counter[uuid.UUID] = Counter()
        self._behind: set[uuid.UUID] = set()
        self._news = asyncio.Event()
        self._listener = Listener(
            database, EVENTS_CHANNEL, on_open=self._look_at_all, on_notice=self._look_at_one
        )
        self._work: asyncio.Task[None] | None = None
        self._closing: asyncio.TimerHandle | None = None

    @property
    def is_listening(self) -> bool:
        """Whether what happens is told to this process at once."""
        return self._listener.is_open

    def count(self, owner_id: uuid.UUID) -> int:
        """How many follow a job of this account now."""
        return self._owners[owner_id]

    @asynccontextmanager
    async def follow(self, job_id: uuid.UUID, *, owner_id: uuid.UUID, cursor: int) -> AsyncIterator[Follower]:
        """Wait for the events of a job after one. It does not ask whose the job is."""
        self._start()
        topic = self._topics.get(job_id)
        if topic is None:
            topic = self._topics[job_id] = Topic(cursor, self._kept)
        follower = Follower(self, job_id, topic, cursor)
        topic.followers.add(follower)
        self._owners[owner_id] += 1
        try:
            if not topic.is_watched:
                await self._watch([job_id])
                topic.is_watched = True
                self._look_at(job_id)
                asyncio.get_running_loop().call_later(SETTLE, self._look_at, job_id)
            yield follower
        finally:
            self._leave(job_id, owner_id, topic, follower)

    async def read(self, job_id: uuid.UUID, cursor: int) -> list[Event]:
        """The next events of a job after one, from the table; none where the database is away."""
        try:
            async with self._engine.connect() as connection:
                return await history.after(connection, job_id, cursor)
        except (SQLAlchemyError, OSError) as error:
            _note(error)
            return []

    async def aclose(self) -> None:
        """End the connection. Whoever still waits hears nothing more."""
        if self._closing is not None:
            self._closing.cancel()
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.wait([work])

    def _leave(self, job_id: uuid.UUID, owner_id: uuid.UUID, topic: Topic, follower: Follower) -> None:
        topic.followers.discard(follower)
        if not topic.followers:
            self._topics.pop(job_id, None)
        self._owners[owner_id] -= 1
        if not self._owners[owner_id]:
            del self._owners[owner_id]
        if not self._topics and self._work is not None:
            self._closing = asyncio.get_running_loop().call_later(self._linger, self._stop)

    def _start(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if self._work is None or self._work.done():
            # Its own context: not that of the request which happens to be the first.
            self._work = asyncio.get_running_loop().create_task(
                self._run(), name="job-events", context=contextvars.Context()
            )

    def _stop(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()

    async def _run(self) -> None:
        """Until it is cancelled: who follows a job must not be left without events by a fault of ours."""
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listener.run())
                    group.create_task(self._read_on())
                    group.create_task(self._look_often())
            except ExceptionGroup:
                _log.exception("events_not_read")
                await asyncio.sleep(POLL_DEAF)

    def _look_at_one(self, notice: str) -> None:
        try:
            self._look_at(uuid.UUID(notice.partition(" ")[0]))
        except ValueError:
            _log.warning("notice_not_understood", extra={"notice": notice[:100]})

    def _look_at_all(self) -> None:
        self._behind.update(self._topics)
        self._news.set()

    def _look_at(self, job_id: uuid.UUID) -> None:
        if job_id in self._topics:
            self._behind.add(job_id)
            self._news.set()

    async def _look_often(self) -> None:
        renew_at = time.monotonic() + RENEW
        while True:
            await asyncio.sleep(self._poll if self.is_listening else min(POLL_DEAF, self._poll))
            if time.monotonic() >= renew_at:
                renew_at = time.monotonic() + RENEW
                await self._watch(list(self._topics), forget=True)
            self._look_at_all()

    async def _watch(self, jobs: list[uuid.UUID], *, forget: bool = False) -> None:
        """Without a database nothing is told: the next look makes up for it."""
        try:
            async with self._engine.connect() as connection:
                await history.watch(connection, jobs)
                if forget:
                    await history.forget_watches(connection)
        except (SQLAlchemyError, OSError) as error:
            _note(error)

    async def _read_on(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            jobs, self._behind = self._behind, set()
            try:
                await self._catch_up(jobs)
                await asyncio.sleep(GATHER)
            except (SQLAlchemyError, OSError) as error:
                _note(error)
                self._behind |= jobs
                await asyncio.sleep(POLL_DEAF)
                self._news.set()

    async def _catch_up(self, jobs: set[uuid.UUID]) -> None:
        last_seen = {job_id: topic.newest for job_id in jobs if (topic := self._topics.get(job_id))}
        if not last_seen:
            return
        async with self._engine.connect() as connection:
            events = await history.after_each(connection, last_seen)
        counts: Counter[uuid.UUID] = Counter()
        for event in events:
            if topic := self._topics.get(event.job_id):
                topic.add(event)
                counts[event.job_id] += 1
        for job_id, count in counts.items():
            for follower in self._topics[job_id].followers:
                follower.wake()
            if count >= history.MOST:
                self._look_at(job_id)


def _note(error: Exception) -> None:
    """Log it and go on, whatever it is: the next look may find the database as it should be."""
    if isinstance(error, OSError) or is_unavailable(error):
        _log.warning("events_not_read", extra={"error": str(error)})
    else:
        _log.error("events_not_read", exc_info=error)
