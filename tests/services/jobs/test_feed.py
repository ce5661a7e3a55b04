"""Handing on the events of jobs: all of them, in order, once, whatever is told or not told."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from app.core.config import AppSettings
from app.core.database import Sessions, create_engine, reading, transaction
from app.core.listening import Listener
from app.models.job import EVENTS_CHANNEL, JobEvent, JobWatch
from app.services.jobs import feed as module
from app.services.jobs import history, moves
from app.services.jobs.feed import Feed, Follower
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.servers import DEADLINE
from tests.services.jobs.shapes import Accept, Do, Take
from tests.serving import Cable
from tests.workers.waiting import until

NEVER = 3600.0


@pytest.fixture(autouse=True)
def unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look that nothing asks for: it would hide that nothing is heard."""
    monkeypatch.setattr(module, "SETTLE", NEVER)
    monkeypatch.setattr(module, "POLL_DEAF", NEVER)


@pytest.fixture
async def feed(settings: AppSettings, engine: AsyncEngine) -> AsyncIterator[Feed]:
    """A feed that hears by the connection alone: it does not look by itself within a test."""
    feed = Feed(reading(engine), settings.database, poll=NEVER)
    yield feed
    await feed.aclose()


@pytest.fixture
async def job_id(accept: Accept, take: Take) -> uuid.UUID:
    """A job that runs."""
    job_id = await accept()
    await take()
    return job_id


async def listens(feed: Feed) -> None:
    async def is_listening() -> bool:
        return feed.is_listening

    await until(is_listening, "the connection that listens")


@asynccontextmanager
async def following(feed: Feed, job_id: uuid.UUID, cursor: int = 0) -> AsyncIterator[Follower]:
    async with feed.follow(job_id, owner_id=OWNER, cursor=cursor) as follower:
        yield follower


async def given(follower: Follower, count: int) -> list[int]:
    """The ids of the next events, as many as asked for at least."""
    found: list[int] = []
    while len(found) < count:
        events = await asyncio.wait_for(follower.next(NEVER), DEADLINE)
        found += [event.id for event in events]
    return found


async def ids(do: Do, job_id: uuid.UUID) -> list[int]:
    rows = await do(select(JobEvent.id).where(JobEvent.job_id == job_id).order_by(JobEvent.id))
    return [row.id for row in rows]


async def report(do: Do, job_id: uuid.UUID, count: int) -> None:
    for number in range(count):
        await do(moves.report(job_id, 1, number / 1000, None))


async def test_all_followers_of_a_job_are_given_each_event_in_order(
    feed: Feed, do: Do, job_id: uuid.UUID
) -> None:
    async with following(feed, job_id) as first, following(feed, job_id) as second:
        await given(first, 2)
        await given(second, 2)
        await report(do, job_id, 5)
        expected = (await ids(do, job_id))[2:]
        assert await given(first, 5) == expected
        assert await given(second, 5) == expected


async def test_a_fault_of_ours_leaves_nobody_without_events(
    feed: Feed, do: Do, job_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_DEAF", 0.01)
    faults = [RuntimeError("a fault of ours"), ZeroDivisionError("another")]
    catch_up = feed._catch_up

    async def faulty(jobs: set[uuid.UUID]) -> None:
        if faults:
            raise faults.pop()
        await catch_up(jobs)

    monkeypatch.setattr(feed, "_catch_up", faulty)
    async with following(feed, job_id) as follower:
        assert await given(follower, 2) == await ids(do, job_id)
    assert faults == []


async def test_events_of_other_jobs_are_not_given(
    feed: Feed, do: Do, accept: Accept, job_id: uuid.UUID
) -> None:
    other = await accept()
    async with following(feed, job_id) as one, following(feed, other) as two:
        assert await given(one, 2) == await ids(do, job_id)
        assert await given(two, 1) == await ids(do, other)


async def test_who_falls_behind_is_given_what_the_table_has(
    settings: AppSettings, engine: AsyncEngine, do: Do, job_id: uuid.UUID
) -> None:
    """A slow client costs no memory: its place alone is kept."""
    feed = Feed(reading(engine), settings.database, poll=NEVER, kept=3)
    async with following(feed, job_id) as slow, following(feed, job_id) as quick:
        await report(do, job_id, 20)
        expected = await ids(do, job_id)
        assert await given(quick, 22) == expected
        assert await given(slow, 22) == expected
    await feed.aclose()


async def test_more_events_than_are_read_at_once_are_all_given(
    feed: Feed, do: Do, job_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST", 3)
    await report(do, job_id, 8)
    async with following(feed, job_id) as follower:
        assert await given(follower, 10) == await ids(do, job_id)


async def test_what_happened_while_the_connection_was_away_is_given(
    engine: AsyncEngine, do: Do, job_id: uuid.UUID, cabled: tuple[AppSettings, Cable]
) -> None:
    own, cable = cabled
    feed = Feed(reading(engine), own.database, poll=NEVER)
    async with following(feed, job_id) as follower:
        await given(follower, 2)
        await listens(feed)
        await cable.cut()
        await until(lambda: is_deaf(feed), "the loss of the connection")
        await report(do, job_id, 3)
        await cable.mend()
        assert await given(follower, 3) == (await ids(do, job_id))[2:]
    await feed.aclose()


async def test_without_the_connection_the_table_is_looked_at(
    engine: AsyncEngine, do: Do, job_id: uuid.UUID, cabled: tuple[AppSettings, Cable]
) -> None:
    own, cable = cabled
    await cable.cut()
    feed = Feed(reading(engine), own.database, poll=0.05)
    async with following(feed, job_id) as follower:
        await report(do, job_id, 3)
        assert await given(follower, 5) == await ids(do, job_id)
        assert not feed.is_listening
    await feed.aclose()


async def test_an_event_that_nobody_told_of_is_found_by_the_next_look(
    settings: AppSettings, engine: AsyncEngine, do: Do, job_id: uuid.UUID
) -> None:
    feed = Feed(reading(engine), settings.database, poll=0.05)
    async with following(feed, job_id) as follower:
        await given(follower, 2)
        await do(delete(JobWatch).returning(JobWatch.job_id))
        await report(do, job_id, 1)
        assert await given(follower, 1) == (await ids(do, job_id))[2:]
    await feed.aclose()


@pytest.fixture
async def second_looks(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """The looks that are to follow when a new watch has settled; the test says when it has."""
    loop, looks = asyncio.get_running_loop(), list[Callable[[], object]]()
    call_later = loop.call_later

    def noted(delay: float, callback: Callable[..., object], *given: Any, **options: Any) -> Any:
        if delay == NEVER:
            looks.append(partial(callback, *given))
        return call_later(delay, callback, *given, **options)

    monkeypatch.setattr(loop, "call_later", noted)
    return looks


async def test_an_event_written_just_before_the_watch_is_found_soon(
    *,
    feed: Feed,
    accept: Accept,
    sessions: Sessions,
    do: Do,
    job_id: uuid.UUID,
    second_looks: list[Callable[[], object]],
) -> None:
    """Its transaction could not see yet that somebody waits, and commits after that one has looked."""
    async with following(feed, await accept()) as other, sessions() as session:
        # The look at the opening is over.
        await listens(feed)
        await given(other, 1)
        await session.execute(moves.report(job_id, 1, 0.5, None))
        async with following(feed, job_id) as follower:
            await given(follower, 2)
            await session.commit()
            for look in second_looks:
                look()
            assert await given(follower, 1) == (await ids(do, job_id))[2:]


async def test_only_events_of_watched_jobs_are_told_of(
    feed: Feed, accept: Accept, settings: AppSettings, do: Do, job_id: uuid.UUID
) -> None:
    """To tell makes all commits that do so wait for each other."""
    notices: list[str] = []
    opened = asyncio.Event()
    listener = Listener(settings.database, EVENTS_CHANNEL, on_open=opened.set, on_notice=notices.append)
    task = asyncio.create_task(listener.run())
    await opened.wait()
    async with following(feed, job_id) as follower:
        await given(follower, 2)
        await accept()
        await report(do, job_id, 1)
        await given(follower, 1)
    await until(lambda: has(notices), "what is told")
    assert notices == [f"{job_id} {(await ids(do, job_id))[-1]}"]
    task.cancel()
    await asyncio.wait([task])


async def test_a_watch_that_is_needed_is_renewed_and_others_are_forgotten(
    settings: AppSettings, engine: AsyncEngine, do: Do, job_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW", 0.0)
    past = func.now() - text("interval '1 hour'")
    old = insert(JobWatch).values(job_id=uuid.uuid4(), until=past)
    feed = Feed(reading(engine), settings.database, poll=0.05)
    async with following(feed, job_id) as follower:
        await given(follower, 2)
        await do(old.returning(JobWatch.job_id))
        await do(update(JobWatch).values(until=past).returning(JobWatch.job_id))

        async def is_renewed() -> bool:
            rows = await do(select(JobWatch.job_id).where(JobWatch.until > func.now()))
            return [row.job_id for row in rows] == [job_id]

        async def is_forgotten() -> bool:
            return len(await do(select(JobWatch.job_id))) == 1

        await until(is_renewed, "the renewal of the watch")
        await until(is_forgotten, "the end of the other")
    await feed.aclose()


async def test_no_connection_of_the_pool_is_held_by_who_waits(
    feed: Feed, engine: AsyncEngine, job_id: uuid.UUID
) -> None:
    async with AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(following(feed, job_id)) for _ in range(50)]
        waiting = [asyncio.create_task(given(follower, 3)) for follower in followers]
        await listens(feed)

        async def is_free() -> bool:
            assert isinstance(engine.pool, AsyncAdaptedQueuePool)
            return engine.pool.checkedout() == 0

        await until(is_free, "a pool that nobody uses")
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_a_database_that_is_away_ends_nothing(
    do: Do,
    job_id: uuid.UUID,
    cabled: tuple[AppSettings, Cable],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, cable = cabled
    monkeypatch.setattr(module, "POLL_DEAF", 0.05)
    engine = create_engine(own.database)
    feed = Feed(reading(engine), own.database, poll=0.05, kept=1)
    async with following(feed, job_id) as slow, following(feed, job_id) as quick:
        await report(do, job_id, 3)
        await given(quick, 5)
        await cable.cut()
        # More than is kept: it has to be read from the table.
        assert await asyncio.wait_for(slow.next(NEVER), DEADLINE) == []
        await cable.mend()
        assert await given(slow, 5) == await ids(do, job_id)
    await feed.aclose()
    await engine.dispose()
    assert {record.levelname for record in caplog.records} <= {"WARNING", "INFO"}


async def test_a_fault_of_ours_is_logged_and_ends_nothing(
    feed: Feed, sessions: Sessions, do: Do, job_id: uuid.UUID, caplog: pytest.LogCaptureFixture
) -> None:
    async with transaction(sessions) as session:
        await session.execute(text("ALTER TABLE job_watches RENAME TO gone"))
    async with following(feed, job_id) as follower:
        assert await given(follower, 2) == await ids(do, job_id)
    assert "events_not_read" in [record.message for record in caplog.records if record.levelname == "ERROR"]


async def test_a_notice_that_is_none_of_ours_is_passed_over(
    feed: Feed, do: Do, job_id: uuid.UUID, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(feed, job_id) as follower:
        await given(follower, 2)
        await listens(feed)
        await do(select(func.pg_notify(EVENTS_CHANNEL, "odd")))
        await report(do, job_id, 1)
        assert await given(follower, 1) == (await ids(do, job_id))[2:]
    assert "notice_not_understood" in [record.message for record in caplog.records]


async def test_the_connection_is_closed_when_nobody_waits_any_more_and_opened_for_the_next(
    settings: AppSettings, engine: AsyncEngine, do: Do, job_id: uuid.UUID
) -> None:
    feed = Feed(reading(engine), settings.database, poll=NEVER, linger=0.0)
    for _ in range(2):
        async with following(feed, job_id) as follower:
            await given(follower, 2)
            await listens(feed)
            assert feed.count(OWNER) == 1
        await until(lambda: is_deaf(feed), "the end of the connection")
        assert feed.count(OWNER) == 0
    await feed.aclose()


async def test_one_connection_serves_those_who_come_and_go(feed: Feed, job_id: uuid.UUID) -> None:
    for _ in range(2):
        async with following(feed, job_id) as follower:
            await given(follower, 2)
            await listens(feed)
    assert feed.is_listening


async def is_deaf(feed: Feed) -> bool:
    return not feed.is_listening


async def has(notices: list[str]) -> bool:
    return bool(notices)


@pytest.fixture
async def cabled(settings: AppSettings) -> AsyncIterator[tuple[AppSettings, Cable]]:
    """Settings that reach the database by a cable."""
    address = settings.database.url.get_secret_value()
    cable = Cable(address)
    await cable.mend()
    redis = settings.redis.url.get_secret_value()
    yield make_settings(settings.state_dir, cable.through(address), redis), cable
    await cable.cut()
