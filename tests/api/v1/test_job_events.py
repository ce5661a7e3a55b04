"""Following a job: what is told, to whom, and when it ends."""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from sqlalchemy import func, select, update
from starlette.types import ASGIApp

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import KeyRing
from app.main import create_app
from app.middleware import access_log
from app.models.job import JobEvent
from app.models.session import Session
from app.services.auth.gate import Gate
from app.services.auth.tokens import Tokens
from app.services.jobs import enqueue, moves
from tests.accounts import OTHER, OWNER, bearer, session_of
from tests.configuration import make_settings
from tests.servers import DEADLINE
from tests.streaming import streamed
from tests.workers.kinds import Args

Do = Callable[[object], Awaitable[None]]


@asynccontextmanager
async def serving(settings: AppSettings, **values: str) -> AsyncIterator[ASGIApp]:
    """The application with other settings."""
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    app = create_app(make_settings(settings.state_dir, database, redis, **values))
    async with LifespanManager(app, startup_timeout=DEADLINE, shutdown_timeout=DEADLINE) as manager:
        yield manager.app


def path_of(job_id: uuid.UUID) -> str:
    return f"/api/v1/jobs/{job_id}/events"


@pytest.fixture
def do(sessions: Sessions) -> Do:
    """One statement in a transaction of its own."""

    async def do(statement: object) -> None:
        async with transaction(sessions) as session:
            await session.execute(statement)  # type: ignore[call-overload]  # any statement

    return do


@pytest.fixture
async def job_id(sessions: Sessions, do: Do) -> uuid.UUID:
    """A job of OWNER that runs."""
    async with transaction(sessions) as session:
        job_id = (await enqueue(session, "test.effect", Args(), owner_id=OWNER)).id
    await do(moves.claim("default", worker="me", lease=60, allowances={"test.effect": 1}))
    return job_id


async def ids(sessions: Sessions, job_id: uuid.UUID) -> list[int]:
    async with sessions() as session:
        query = select(JobEvent.id).where(JobEvent.job_id == job_id).order_by(JobEvent.id)
        return list(await session.scalars(query))


async def test_a_client_is_told_the_state_now_then_each_change_until_the_end(
    app: FastAPI, settings: AppSettings, sessions: Sessions, do: Do, job_id: uuid.UUID
) -> None:
    async with streamed(app.state.asgi, path_of(job_id), bearer(settings)) as stream:
        now = await stream.next()
        assert now is not None
        await do(moves.report(job_id, 1, 0.5, "halfway"))
        half = await stream.next()
        await do(moves.fail(job_id, 1, {"code": "x", "message": "It is broken."}))
        [end] = await stream.rest()
    assert half is not None
    assert [now.id, half.id, end.id] == (await ids(sessions, job_id))[1:]
    assert {now.name, half.name, end.name} == {"job"}
    assert end.data.pop("at").endswith("Z")
    assert end.data == {
        "job_id": str(job_id),
        "state": "failed",
        "progress": 0.5,
        "progress_word": "halfway",
        "attempt": 1,
        "error": {"code": "x", "message": "It is broken."},
    }
    assert (now.data["state"], half.data["progress"]) == ("running", 0.5)


async def test_a_stream_is_kept_and_gathered_by_nobody(
    app: FastAPI, settings: AppSettings, job_id: uuid.UUID
) -> None:
    headers = bearer(settings) | {"Accept-Encoding": "gzip, br, zstd", "Origin": "http://localhost:3000"}
    async with streamed(app.state.asgi, path_of(job_id), headers) as stream:
        await stream.next()
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-store", "no")
    assert "content-encoding" not in stream.headers
    assert stream.headers["access-control-allow-credentials"] == "true"
    assert stream.retries


@pytest.mark.parametrize("by_query", [False, True], ids=["header", "query"])
async def test_a_client_that_comes_back_is_told_all_that_it_missed(
    app: FastAPI, settings: AppSettings, sessions: Sessions, do: Do, job_id: uuid.UUID, *, by_query: bool
) -> None:
    for share in (0.1, 0.2, 0.3):
        await do(moves.report(job_id, 1, share, None))
    await do(moves.succeed(job_id, 1, None))
    seen, *missed = await ids(sessions, job_id)
    headers, query = ({}, {"last_event_id": seen}) if by_query else ({"Last-Event-ID": str(seen)}, {})
    async with streamed(app.state.asgi, path_of(job_id), bearer(settings) | headers, **query) as stream:
        assert [event.id for event in await stream.rest()] == missed


async def test_a_job_that_has_ended_is_told_once_and_then_no_more(
    client: httpx.AsyncClient, sessions: Sessions, do: Do, job_id: uuid.UUID
) -> None:
    """204 has EventSource stop (HTML standard, section 9.2.3)."""
    await do(moves.succeed(job_id, 1, None))
    [*_, last] = await ids(sessions, job_id)
    first = await client.get(path_of(job_id))
    assert (first.status_code, first.text.count("event: job")) == (200, 1)
    again = await client.get(path_of(job_id), headers={"Last-Event-ID": str(last)})
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.parametrize("odd", ["999999999999999999", "9" * 30, "", "-1", "abc", "٣"], ids=ascii)
async def test_an_id_that_the_job_has_not_reached_begins_anew(
    client: httpx.AsyncClient, sessions: Sessions, do: Do, job_id: uuid.UUID, odd: str
) -> None:
    await do(moves.succeed(job_id, 1, None))
    [*_, last] = await ids(sessions, job_id)
    answer = await client.get(path_of(job_id), headers={b"Last-Event-ID": odd.encode()})
    assert f"id: {last}\n" in answer.text


async def test_anothers_job_is_not_there_to_follow(
    other_client: httpx.AsyncClient, job_id: uuid.UUID
) -> None:
    answer = await other_client.get(path_of(job_id))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


async def test_a_cookie_alone_lets_a_page_listen(
    app: FastAPI, settings: AppSettings, job_id: uuid.UUID
) -> None:
    """EventSource can send neither a header nor a CSRF token."""
    token = bearer(settings)["Authorization"].removeprefix("Bearer ")
    cookie = {"Cookie": f"holdfast_access={token}", "Origin": "http://localhost:3000"}
    async with streamed(app.state.asgi, path_of(job_id), cookie) as stream:
        assert await stream.next()


async def test_metrics_tell_how_fast_it_was_answered_and_not_how_long_it_was_listened(
    app: FastAPI,
    settings: AppSettings,
    anonymous: httpx.AsyncClient,
    job_id: uuid.UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access_log, "LISTENING", 0.0)
    clock = iter([0.0, 0.25, 500.0])
    monkeypatch.setattr(access_log, "perf_counter", lambda: next(clock))
    async with streamed(app.state.asgi, path_of(job_id), bearer(settings)):
        pass
    monkeypatch.undo()
    text = (await anonymous.get("/metrics")).text
    labels = '{method="GET",route="/api/v1/jobs/{job_id}/events",status="200"}'
    assert f"http_request_duration_seconds_sum{labels} 0.25" in text


async def test_silence_is_broken_by_comments(settings: AppSettings, job_id: uuid.UUID) -> None:
    async with (
        serving(settings, JOB_EVENTS_HEARTBEAT="0.05") as app,
        streamed(app, path_of(job_id), bearer(settings)) as stream,
    ):
        await stream.next()
        assert await stream.commented() == "heartbeat"
        assert await stream.commented() == "heartbeat"


async def test_a_stream_ends_after_its_time(settings: AppSettings, job_id: uuid.UUID) -> None:
    async with (
        serving(settings, JOB_EVENTS_SECONDS="0.05") as app,
        streamed(app, path_of(job_id), bearer(settings)) as stream,
    ):
        assert len(await stream.rest()) == 1


async def test_a_stream_ends_with_its_session(settings: AppSettings, do: Do, job_id: uuid.UUID) -> None:
    async with (
        serving(settings, REVOCATION_SECONDS="0.05") as app,
        streamed(app, path_of(job_id), bearer(settings)) as stream,
    ):
        await stream.next()
        await do(update(Session).where(Session.id == session_of(OWNER)).values(revoked_at=func.now()))
        assert await stream.rest() == []


async def test_a_stream_ends_with_its_access_token(
    app: FastAPI, settings: AppSettings, job_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gate, "expires_at", lambda _gate, _token: time.time() + 0.05)
    async with streamed(app.state.asgi, path_of(job_id), bearer(settings)) as stream:
        assert len(await stream.rest()) == 1


async def test_the_end_of_an_access_token_is_its_own(settings: AppSettings, sessions: Sessions) -> None:
    tokens = Tokens(KeyRing.from_settings(settings.auth), settings.auth)
    begin = int(time.time())
    token = tokens.access(OWNER, session_of(OWNER), seconds=500)
    ends = Gate(tokens, sessions, settings.auth).expires_at(token)
    assert begin + 500 <= ends <= time.time() + 500


async def test_an_account_has_so_many_streams_at_once(settings: AppSettings, job_id: uuid.UUID) -> None:
    async with serving(settings, JOB_EVENTS_STREAMS="1") as app:
        async with streamed(app, path_of(job_id), bearer(settings)) as first:
            await first.next()
            async with streamed(app, path_of(job_id), bearer(settings)) as second:
                assert (second.status, second.headers["retry-after"]) == (429, "10")
            async with streamed(app, path_of(job_id), bearer(settings, OTHER)) as others:
                assert others.status == 404
        async with streamed(app, path_of(job_id), bearer(settings)) as third:
            assert third.status == 200
