"""The routes of jobs."""

import uuid

import httpx
import pytest
from sqlalchemy import text

from app.core.database import Sessions, transaction
from app.services.jobs import enqueue, moves
from tests.accounts import OWNER
from tests.workers.kinds import Args

JOBS = "/api/v1/jobs"


async def accept(sessions: Sessions, owner_id: uuid.UUID = OWNER) -> str:
    async with transaction(sessions) as session:
        return str((await enqueue(session, "test.effect", Args(), owner_id=owner_id)).id)


async def fail(sessions: Sessions, job_id: str) -> None:
    async with transaction(sessions) as session:
        await session.execute(moves.claim("default", worker="me", lease=60, allowances={"test.effect": 1}))
        await session.execute(moves.fail(uuid.UUID(job_id), 1, {"code": "x", "message": "It is broken."}))


async def strangers_job(sessions: Sessions) -> str:
    stranger = uuid.uuid4()
    async with transaction(sessions) as session:
        await session.execute(
            text("INSERT INTO users (id, email) VALUES (:id, 'stranger@test')"), {"id": stranger}
        )
    return await accept(sessions, stranger)


async def test_jobs_are_listed(client: httpx.AsyncClient, sessions: Sessions) -> None:
    accepted = [await accept(sessions) for _ in range(3)]
    body = (await client.get(JOBS, params={"page_size": 2})).json()
    assert [item["id"] for item in body["items"]] == accepted[:0:-1]
    assert (body["total"], body["page"], body["page_size"]) == (3, 1, 2)
    assert body["items"][0]["state"] == "queued"


async def test_a_list_is_filtered(client: httpx.AsyncClient, sessions: Sessions) -> None:
    job_id = await accept(sessions)
    for filters, found in [
        ({"state": "queued"}, [job_id]),
        ({"state": "running"}, []),
        ({"kind": "test.effect"}, [job_id]),
        ({"kind": "other"}, []),
    ]:
        body = (await client.get(JOBS, params=filters)).json()
        assert [item["id"] for item in body["items"]] == found


async def test_an_unknown_state_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get(JOBS, params={"state": "lost"})
    assert answer.status_code == 422
    assert "request_id" in answer.json()


async def test_a_failed_job_tells_its_reason(client: httpx.AsyncClient, sessions: Sessions) -> None:
    job_id = await accept(sessions)
    await fail(sessions, job_id)
    body = (await client.get(f"{JOBS}/{job_id}")).json()
    assert (body["state"], body["attempt"], body["max_attempts"]) == ("failed", 1, 1)
    assert body["error"] == {"code": "x", "message": "It is broken."}
    assert body["finished_at"].endswith("Z")


async def test_a_job_is_cancelled_and_retried(client: httpx.AsyncClient, sessions: Sessions) -> None:
    job_id = await accept(sessions)
    cancelled = await client.post(f"{JOBS}/{job_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    retried = await client.post(f"{JOBS}/{job_id}/retry")
    assert (retried.status_code, retried.json()["state"]) == (202, "queued")


@pytest.mark.parametrize(
    ("failed", "action", "reason"),
    [(True, "cancel", "The job has failed"), (False, "retry", "The job is queued")],
)
async def test_the_wrong_state_is_a_conflict(
    client: httpx.AsyncClient, sessions: Sessions, *, failed: bool, action: str, reason: str
) -> None:
    job_id = await accept(sessions)
    if failed:
        await fail(sessions, job_id)
    answer = await client.post(f"{JOBS}/{job_id}/{action}")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "conflict"
    assert answer.json()["error"]["message"].startswith(reason)


async def test_anothers_job_is_not_found(client: httpx.AsyncClient, sessions: Sessions) -> None:
    job_id = await strangers_job(sessions)
    answers = [
        await client.get(f"{JOBS}/{job_id}"),
        await client.post(f"{JOBS}/{job_id}/cancel"),
        await client.post(f"{JOBS}/{job_id}/retry"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert (await client.get(JOBS)).json()["total"] == 0


async def test_an_id_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{JOBS}/not-an-id")).status_code == 422


async def test_the_log_of_a_job_is_read_in_parts(client: httpx.AsyncClient, sessions: Sessions) -> None:
    job_id = await accept(sessions)
    await fail(sessions, job_id)
    first = (await client.get(f"{JOBS}/{job_id}/logs", params={"limit": 2})).json()
    assert [line["message"] for line in first["items"]] == ["Waiting for a worker.", "Attempt 1 has begun."]
    rest = (await client.get(f"{JOBS}/{job_id}/logs", params={"cursor": first["next"]})).json()
    assert rest["next"] is None
    [line] = rest["items"]
    assert line["at"].endswith("Z")
    assert (line["level"], line["message"], line["state"]) == ("error", "It is broken.", "failed")


async def test_the_log_of_anothers_job_is_not_found(client: httpx.AsyncClient, sessions: Sessions) -> None:
    assert (await client.get(f"{JOBS}/{await strangers_job(sessions)}/logs")).status_code == 404
