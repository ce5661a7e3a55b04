"""Versions of what is shown: nothing is sent twice, and nobody changes what he has not seen."""

import uuid

import httpx
import pytest

from app.core.database import Sessions, transaction
from app.models.job import Job
from app.models.media_file import MediaFile
from tests.accounts import OTHER, OWNER

USER = f"/api/v1/admin/users/{OTHER}"


@pytest.fixture
async def job(sessions: Sessions) -> Job:
    async with transaction(sessions) as session:
        job = Job(owner_id=OWNER, kind="test.nothing", queue="default", args={})
        session.add(job)
    return job


@pytest.fixture
async def media(sessions: Sessions) -> MediaFile:
    facts = {"name": "a.jpg", "size": 3, "sha256": "0" * 64, "mime_type": "image/jpeg", "kind": "image"}
    async with transaction(sessions) as session:
        media = MediaFile(owner_id=OWNER, **facts)
        session.add(media)
    return media


async def tag_of(http: httpx.AsyncClient, path: str) -> str:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers["etag"]


async def status_with(http: httpx.AsyncClient, path: str, tag: str) -> tuple[int, bytes]:
    answer = await http.get(path, headers={"If-None-Match": tag})
    return answer.status_code, answer.content if answer.status_code == 304 else b""


async def test_a_job_that_has_not_changed_is_not_sent_again(
    client: httpx.AsyncClient, sessions: Sessions, job: Job
) -> None:
    path = f"/api/v1/jobs/{job.id}"
    tag = await tag_of(client, path)
    assert await status_with(client, path, f'"other", W/{tag}') == (304, b"")
    async with transaction(sessions) as session:
        (await session.get_one(Job, job.id)).progress = 0.5
    assert await status_with(client, path, tag) == (200, b"")


async def test_a_file_that_has_not_changed_is_not_sent_again(
    client: httpx.AsyncClient, sessions: Sessions, media: MediaFile
) -> None:
    path = f"/api/v1/media/{media.id}"
    tag = await tag_of(client, path)
    assert await status_with(client, path, tag) == (304, b"")
    async with transaction(sessions) as session:
        (await session.get_one(MediaFile, media.id)).width = 16
    assert await status_with(client, path, tag) == (200, b"")


async def test_nobody_learns_by_a_version_that_anothers_job_exists(
    other_client: httpx.AsyncClient, job: Job
) -> None:
    for thing in (job.id, uuid.uuid4()):
        answer = await other_client.get(f"/api/v1/jobs/{thing}", headers={"If-None-Match": "*"})
        assert answer.status_code == 404


async def test_an_account_that_has_not_changed_is_not_sent_again(admin_client: httpx.AsyncClient) -> None:
    tag = await tag_of(admin_client, USER)
    assert await status_with(admin_client, USER, tag) == (304, b"")


async def test_an_administrator_changes_the_version_he_has_seen(admin_client: httpx.AsyncClient) -> None:
    tag = await tag_of(admin_client, USER)
    answer = await admin_client.patch(USER, json={"name": "Anna"}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["name"]) == (200, "Anna")
    assert answer.headers["etag"] == await tag_of(admin_client, USER) != tag


async def test_an_administrator_changes_no_version_he_has_not_seen(admin_client: httpx.AsyncClient) -> None:
    tag = await tag_of(admin_client, USER)
    assert (await admin_client.patch(USER, json={"name": "Anna"})).status_code == 200
    answer = await admin_client.patch(USER, json={"disabled": True}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "precondition_failed")
    shown = (await admin_client.get(USER)).json()
    assert (shown["name"], shown["status"]) == ("Anna", "active")
