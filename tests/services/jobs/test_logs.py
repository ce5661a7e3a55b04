"""What a job tells its owner."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select, text

from app.core.config import AppSettings
from app.core.database import Sessions, create_engine, create_sessions, transaction
from app.models.job import JobLog
from app.services.jobs import RunningJob, logs, moves, retry_job
from app.services.jobs.logs import Line
from tests.accounts import OWNER
from tests.configuration import make_settings
from tests.servers import WAITING_FOR_LOCKS
from tests.services.jobs.shapes import Accept, Do, Take, expired
from tests.workers.waiting import until

Running = Callable[..., RunningJob]
Read = Callable[..., Awaitable[list[Line]]]


@pytest.fixture
def running(settings: AppSettings, sessions: Sessions) -> Running:
    """A job as its code sees it."""

    def running(job_id: uuid.UUID, attempt: int = 1, on: Sessions = sessions) -> RunningJob:
        return RunningJob(
            id=job_id,
            owner_id=OWNER,
            attempt=attempt,
            settings=settings,
            sessions=on,
            report=lambda _share, _word: None,
        )

    return running


@pytest.fixture
def read(sessions: Sessions) -> Read:
    """A job's whole log, in parts of two."""

    async def read(job_id: uuid.UUID, cursor: int = 0) -> list[Line]:
        lines: list[Line] = []
        more = True
        while more:
            async with sessions() as session:
                part, more = await logs.read(session, job_id, limit=2, cursor=cursor)
            lines += part
            cursor = part[-1].id if part else cursor
        return lines

    return read


async def test_lines_stand_among_the_changes_of_state_in_order(
    accept: Accept, take: Take, do: Do, running: Running, read: Read
) -> None:
    job_id = await accept()
    await take()
    job = running(job_id)
    await job.log("Looking.")
    await do(moves.report(job_id, 1, 0.5, "halfway"))
    await job.log("It looks odd.", level="warning")
    error = {"code": "x", "message": "It broke."}
    await do(moves.try_again(job_id, 1, error, delay=-1.0))
    await take()
    await do(moves.succeed(job_id, 2, None))
    lines = await read(job_id)
    assert [(line.attempt, line.level, line.message, line.state) for line in lines] == [
        (0, "info", "Waiting for a worker.", "queued"),
        (1, "info", "Attempt 1 has begun.", "running"),
        (1, "info", "Looking.", None),
        (1, "warning", "It looks odd.", None),
        (1, "warning", "It broke. Another attempt follows.", "retrying"),
        (2, "info", "Attempt 2 has begun.", "running"),
        (2, "info", "Done.", "succeeded"),
    ]
    assert [line.id for line in lines] == sorted({line.id for line in lines})


async def test_ends_say_why(accept: Accept, take: Take, do: Do, sessions: Sessions, read: Read) -> None:
    job_id = await accept()
    await take()
    await do(moves.fail(job_id, 1, {"code": "x", "message": "It is broken."}))
    async with transaction(sessions) as session:
        await retry_job(session, job_id, owner_id=OWNER)
    await take()
    await do(moves.cancel_running(job_id, 2))
    told = [(line.level, line.message) for line in await read(job_id) if line.state]
    assert told[2:] == [
        ("error", "It is broken."),
        ("info", "Waiting for a worker."),
        ("info", "Attempt 2 has begun."),
        ("info", "Cancelled."),
    ]


async def test_what_looks_like_a_secret_is_masked_and_what_no_column_holds_is_left_out(
    accept: Accept, take: Take, running: Running, read: Read
) -> None:
    job_id = await accept()
    await take()
    await running(job_id).log("odd\0 password=hunter2 " + "x" * 2000)
    message = (await read(job_id))[-1].message
    assert message.startswith("odd password=*** xxx")
    assert len(message) == logs.LONGEST


async def test_an_attempt_that_lost_its_job_tells_nothing_more(
    accept: Accept, take: Take, do: Do, running: Running, read: Read
) -> None:
    job_id = await accept()
    await take()
    await do(expired(job_id))
    await do(moves.take_back())
    await running(job_id).log("I am still here.")
    assert "I am still here." not in [line.message for line in await read(job_id)]


async def test_an_attempt_has_so_many_lines(
    accept: Accept, take: Take, running: Running, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_LINES", 2)
    job_id = await accept()
    await take()
    job = running(job_id)
    for number in range(5):
        await job.log(f"line {number}")
    told = [line.message for line in await read(job_id) if line.state is None]
    assert told == ["line 0", "line 1", "More was written than is kept."]


async def test_lines_of_old_attempts_make_room(
    accept: Accept, take: Take, do: Do, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "KEPT_ATTEMPTS", 2)
    job_id = await accept()
    for attempt in (1, 2, 3):
        await take()
        await running(job_id, attempt).log("here")
        await do(moves.try_again(job_id, attempt, {}, delay=-1.0))
    rows = await do(select(JobLog.attempt).order_by(JobLog.id))
    assert [row.attempt for row in rows] == [2, 3]


async def test_lines_go_with_their_job(accept: Accept, take: Take, do: Do, running: Running) -> None:
    job_id = await accept()
    await take()
    await running(job_id).log("here")
    await do(text("DELETE FROM jobs RETURNING id"))
    assert await do(select(JobLog.id)) == []


async def test_a_database_that_is_away_does_not_fail_the_job(
    settings: AppSettings, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    away = make_settings(settings.state_dir, "postgresql://u:p@127.0.0.1:1/x", "redis://localhost")
    engine = create_engine(away.database)
    await running(uuid.uuid4(), on=create_sessions(engine)).log("Nobody hears this.")
    await engine.dispose()
    assert "job_line_not_kept" in [record.message for record in caplog.records]


async def test_no_line_appears_before_an_event_that_was_written_earlier(
    accept: Accept, take: Take, sessions: Sessions, running: Running, read: Read
) -> None:
    """Or who reads on from that line would never see the event."""
    job_id = await accept()
    await take()
    async with sessions() as session, sessions() as observer:
        await session.execute(moves.fail(job_id, 1, {"code": "x", "message": "It broke."}))
        task = asyncio.create_task(running(job_id).log("I am late."))

        async def waits() -> bool:
            found = bool(await observer.scalar(WAITING_FOR_LOCKS))
            await observer.rollback()
            return found

        await until(waits, "the line behind the event")
        await session.commit()
    await task
    assert (await read(job_id))[-1].message == "It broke."
