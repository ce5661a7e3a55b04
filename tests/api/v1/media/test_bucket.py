"""Media over HTTP where objects are in a bucket (V12)."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.core.config import AppSettings
from app.core.database import Sessions
from app.models.job import Job
from app.models.media_file import MediaFile
from app.services.workspace import Workspace
from tests.api.v1.media.answers import MEDIA, count, message, stored, uploaded
from tests.api.v1.uploads.client import create
from tests.buckets import Variables, answering, names, nowhere
from tests.configuration import make_settings
from tests.samples import Samples
from tests.services.media.files import media


@pytest.fixture(params=["bucket"])
def variables(request: pytest.FixtureRequest) -> Iterator[Variables]:
    """Of a good bucket, or of another kind that the test names."""
    match request.param:
        case "bucket":
            yield request.getfixturevalue("bucket")
        case "away":
            yield nowhere()
        case (status, code):
            with answering(status, code) as bucket:
                yield bucket


@pytest.fixture
def settings(fresh_database: str, redis_url: str, tmp_path: Path, variables: Variables) -> AppSettings:
    built = make_settings(tmp_path, fresh_database, redis_url, **variables)
    built.run_dir.mkdir(mode=0o700, exist_ok=True)
    return built


@pytest.fixture
def workspace(settings: AppSettings) -> Workspace:
    return Workspace.from_settings(settings)


def of(*variables: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("variables", variables, indirect=True)


async def test_an_upload_goes_into_the_bucket_and_leaves_nothing_here(
    client: httpx.AsyncClient, samples: Samples, variables: Variables, workspace: Workspace
) -> None:
    media = await uploaded(client, samples.data("clip.mp4"))
    [name] = names(variables)
    assert name.endswith(media["sha256"])
    assert stored(workspace) == []


async def test_bytes_that_come_with_a_resumable_upload_leave_nothing_here_either(
    client: httpx.AsyncClient, samples: Samples, variables: Variables, workspace: Workspace
) -> None:
    data = samples.data("picture.jpg")
    assert (await create(client, len(data), data)).status_code == 201
    [name] = names(variables)
    assert name.endswith(hashlib.sha256(data).hexdigest())
    assert stored(workspace) == []


@pytest.mark.parametrize("way", ["alone", "resumable"])
async def test_what_was_sent_and_then_refused_is_removed_from_the_bucket(
    client: httpx.AsyncClient, samples: Samples, variables: Variables, workspace: Workspace, way: str
) -> None:
    async def post(data: bytes) -> httpx.Response:
        key = {"Idempotency-Key": "one"}
        if way == "alone":
            return await client.post(MEDIA, content=data, headers=key)
        return await create(client, len(data), data, **key)

    data = samples.data("picture.jpg")
    assert (await post(data)).status_code == 201
    kept = names(variables)
    assert (await post(data + b"more")).status_code == 409
    # What is asked again is answered, and what it was about stays.
    assert (await post(data)).status_code == 201
    assert names(variables) == kept
    assert stored(workspace) == []


async def test_it_is_downloaded_whole_and_in_ranges(client: httpx.AsyncClient, samples: Samples) -> None:
    data = samples.data("picture.jpg") + os.urandom(2_500_000)
    media = await uploaded(client, data, "a.jpg")
    url = f"{MEDIA}/{media['id']}/content"
    whole = await client.get(url)
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["content-length"] == str(len(data))
    assert whole.headers["etag"] == f'"{media["sha256"]}"'
    part = await client.get(url, headers={"range": "bytes=1000000-2200000"})
    assert (part.status_code, part.content) == (206, data[1_000_000:2_200_001])
    several = await client.get(url, headers={"range": "bytes=0-9,-5"})
    assert several.status_code == 206
    assert data[:10] in several.content
    assert data[-5:] in several.content
    head = await client.head(url)
    assert (head.headers["content-length"], head.content) == (str(len(data)), b"")


async def test_a_file_that_the_bucket_lost_is_told(
    client: httpx.AsyncClient, samples: Samples, workspace: Workspace
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    await workspace.remove({media["sha256"]})
    answer = await client.get(f"{MEDIA}/{media['id']}/content")
    assert answer.status_code == 503
    assert "workspace" in message(answer)


@of("away", (403, "AccessDenied"), (507, "XMinioStorageFull"), (500, "InternalError"))
async def test_an_upload_that_cannot_be_stored_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient,
    samples: Samples,
    sessions: Sessions,
    workspace: Workspace,
) -> None:
    answer = await client.post(MEDIA, files={"file": ("a.jpg", samples.data("picture.jpg"))})
    words = {"unreachable": (503, "does not answer"), "refused": (507, "refuses"), "full": (507, "full")}
    state = answer.json()["error"]["details"]["workspace"]
    assert (answer.status_code, state) == (words[state][0], workspace.check().state)
    assert words[state][1] in message(answer)
    assert stored(workspace) == []
    assert (await count(sessions, MediaFile), await count(sessions, Job)) == (0, 0)


@of("away", (403, "AccessDenied"), (507, "XMinioStorageFull"))
async def test_health_tells_what_is_wrong_with_the_bucket(
    client: httpx.AsyncClient, workspace: Workspace
) -> None:
    check = (await client.get("/health")).json()["checks"]["workspace"]
    assert check == {"status": "unhealthy", "reason": workspace.check().state}
    assert check["reason"] in {"unreachable", "refused", "full"}


async def test_health_is_well_with_a_good_bucket(client: httpx.AsyncClient) -> None:
    checks = (await client.get("/health")).json()["checks"]
    assert checks["workspace"] == {"status": "healthy", "reason": None}


@of("away")
async def test_a_file_is_deleted_also_while_the_bucket_is_away(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    file = media("ab" * 32)
    async with sessions() as session, session.begin():
        session.add(file)
    assert (await client.get(f"{MEDIA}/{file.id}/content")).status_code == 503
    assert (await client.delete(f"{MEDIA}/{file.id}")).status_code == 204
    assert await count(sessions, Job) == 1
