"""Deleting files, and what an account stores."""

import uuid

import httpx
import pytest
from sqlalchemy import select

from app.core.database import Sessions, transaction
from app.models.job import Job, JobState
from app.models.media_file import MediaFile
from app.services.media.deletion import DISCARD
from app.services.users import SYSTEM_OWNER
from tests.api.v1.media.answers import MEDIA, count, end_job, finish, uploaded
from tests.samples import Samples


async def test_a_deleted_file_is_gone_and_deleting_it_again_finds_nothing(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    url = f"{MEDIA}/{(await uploaded(client, samples.data('picture.jpg')))['id']}"
    answer = await client.delete(url)
    assert (answer.status_code, answer.content) == (204, b"")
    for again in (await client.get(url), await client.get(f"{url}/content"), await client.delete(url)):
        assert again.status_code == 404
    assert await count(sessions, MediaFile) == 0


async def test_all_objects_of_the_file_are_given_to_a_job_of_the_system(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    await finish(sessions, media["id"], thumbnail_key="0" * 64)
    await client.delete(f"{MEDIA}/{media['id']}")
    async with sessions() as session:
        job = (await session.scalars(select(Job).where(Job.kind == DISCARD))).one()
    assert job.args == {"keys": sorted(["0" * 64, media["sha256"]])}
    assert job.owner_id == SYSTEM_OWNER


async def test_a_job_that_waits_is_cancelled(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    await client.delete(f"{MEDIA}/{media['id']}")
    assert (await client.get(f"/api/v1/jobs/{media['job_id']}")).json()["state"] == "cancelled"


async def test_a_job_that_runs_is_asked_to_stop(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    async with transaction(sessions) as session:
        job = await session.get_one(Job, uuid.UUID(media["job_id"]))
        job.state, job.lease_expires_at = JobState.RUNNING, job.created_at
    await client.delete(f"{MEDIA}/{media['id']}")
    async with sessions() as session:
        job = await session.get_one(Job, uuid.UUID(media["job_id"]))
    assert (job.state, job.cancel_requested_at is not None) == (JobState.RUNNING, True)


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
async def test_a_job_that_has_ended_stays_as_it_is(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions, state: str
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    await end_job(sessions, media["job_id"], state)
    assert (await client.delete(f"{MEDIA}/{media['id']}")).status_code == 204
    assert (await client.get(f"/api/v1/jobs/{media['job_id']}")).json()["state"] == state


async def test_a_file_whose_job_is_forgotten_is_deleted(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    await finish(sessions, media["id"], job_id=None)
    assert (await client.delete(f"{MEDIA}/{media['id']}")).status_code == 204


QUOTA = 50 * 1024**3


async def test_what_an_account_stores_is_its_own_files_alone(
    client: httpx.AsyncClient, other_client: httpx.AsyncClient, samples: Samples
) -> None:
    data = samples.data("picture.jpg")
    assert (await client.get(f"{MEDIA}/usage")).json() == {"files": 0, "bytes": 0, "quota": QUOTA}
    first = await uploaded(client, data)
    await uploaded(client, data)
    await uploaded(other_client, samples.data("tone.mp3"))
    assert (await client.get(f"{MEDIA}/usage")).json() == {"files": 2, "bytes": 2 * len(data), "quota": QUOTA}
    await client.delete(f"{MEDIA}/{first['id']}")
    assert (await client.get(f"{MEDIA}/usage")).json() == {"files": 1, "bytes": len(data), "quota": QUOTA}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_the_use_of_storage_is_not_taken_for_a_file(client: httpx.AsyncClient, method: str) -> None:
    refused = await client.request(method, f"{MEDIA}/usage")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")


async def test_what_is_no_id_is_a_faulty_value(client: httpx.AsyncClient) -> None:
    assert (await client.delete(f"{MEDIA}/usages")).status_code == 422


@pytest.mark.parametrize(
    ("settings", "shown"),
    [({"MEDIA_QUOTA": "1000"}, 1000), ({"MEDIA_QUOTA": "0"}, None)],
    indirect=["settings"],
)
async def test_the_quota_is_shown_where_there_is_one(client: httpx.AsyncClient, shown: int | None) -> None:
    assert (await client.get(f"{MEDIA}/usage")).json()["quota"] == shown
