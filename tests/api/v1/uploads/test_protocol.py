"""tus 1.0.0 over HTTP: what the protocol says."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import httpx
import pytest

from app.core.database import Sessions
from app.models.job import Job
from app.models.media_file import MediaFile
from app.services.workspace import Workspace
from tests.api.v1.media.answers import LIMIT, count, message, small
from tests.api.v1.uploads.client import (
    PIECE,
    TUS,
    UPLOADS,
    begun,
    checksum,
    code,
    create,
    metadata,
    offset_of,
    send,
)
from tests.samples import Samples


async def test_a_file_sent_in_pieces_becomes_a_media_file_with_its_job(
    client: httpx.AsyncClient, samples: Samples, workspace: Workspace, sessions: Sessions
) -> None:
    data = samples.data("clip.mp4")
    url = await begun(client, len(data), name="Ferien 🏖️.mp4")
    first = await send(client, url, 0, data[:10_000])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "10000")
    assert "holdfast-media-id" not in first.headers
    last = await send(client, url, 10_000, data[10_000:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(data)))
    media = (await client.get(f"/api/v1/media/{last.headers['holdfast-media-id']}")).json()
    assert (media["name"], media["size"]) == ("Ferien 🏖️.mp4", len(data))
    assert media["sha256"] == hashlib.sha256(data).hexdigest()
    assert workspace.path(media["sha256"]).read_bytes() == data
    async with sessions() as session:
        job = await session.get_one(Job, uuid.UUID(media["job_id"]))
    assert (job.kind, job.args) == ("media.process", {"media_id": media["id"]})
    assert list(workspace.uploads.iterdir()) == []


async def test_options_tells_what_is_spoken_without_a_credential(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.options(UPLOADS)
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    spoken = {"creation", "creation-with-upload", "termination", "checksum", "expiration"}
    assert set(answer.headers["tus-extension"].split(",")) == spoken
    assert answer.headers["tus-max-size"] == str(2 * 1024**3)
    assert {"sha1", "sha256"} <= set(answer.headers["tus-checksum-algorithm"].split(","))


async def test_head_tells_offset_length_metadata_and_expiry(client: httpx.AsyncClient) -> None:
    url = await begun(client, 20, b"\xff\xd8\xff", name="a.jpg")
    answer = await client.head(url, headers=TUS)
    assert answer.headers["upload-offset"] == "3"
    assert answer.headers["upload-length"] == "20"
    assert answer.headers["upload-metadata"] == metadata(filename="a.jpg")
    assert answer.headers["cache-control"] == "no-store"
    assert parsedate_to_datetime(answer.headers["upload-expires"]).tzinfo is not None


@pytest.mark.parametrize("headers", [{}, {"Tus-Resumable": "0.2.2"}], ids=["none", "old"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD", "DELETE"])
async def test_another_version_is_refused_with_the_one_that_is_spoken(
    client: httpx.AsyncClient, method: str, headers: dict[str, str]
) -> None:
    url = await begun(client, 20)
    given = {"Upload-Length": "20", "Upload-Offset": "0", "Content-Type": PIECE["Content-Type"]} | headers
    answer = await client.request(method, UPLOADS if method == "POST" else url, headers=given)
    assert answer.status_code == 412
    assert answer.headers["tus-version"] == "1.0.0"
    assert await offset_of(client, url) == 0


async def test_answers_and_errors_name_the_version(client: httpx.AsyncClient) -> None:
    assert (await create(client, 20)).headers["tus-resumable"] == "1.0.0"
    missing = await client.head(f"{UPLOADS}/{uuid.uuid4()}", headers=TUS)
    assert (missing.status_code, missing.headers["tus-resumable"]) == (404, "1.0.0")
    assert "upload-offset" not in missing.headers


async def test_a_wrong_offset_is_a_conflict_that_tells_the_right_one(client: httpx.AsyncClient) -> None:
    url = await begun(client, 20, b"\xff\xd8\xff")
    for offset in (0, 4, 10**30):
        answer = await send(client, url, offset, b"x")
        assert (answer.status_code, code(answer)) == (409, "offset_mismatch")
        assert answer.headers["upload-offset"] == "3"
    assert await offset_of(client, url) == 3


@pytest.mark.parametrize("offset", ["-1", "x", ""])
async def test_an_offset_that_is_none_is_refused(client: httpx.AsyncClient, offset: str) -> None:
    url = (await create(client, 20)).headers["location"]
    answer = await client.patch(url, headers=PIECE | {"Upload-Offset": offset}, content=b"x")
    assert (answer.status_code, code(answer)) == (422, "validation_error")
    head = await client.head(url, headers=TUS)
    assert (head.headers["upload-offset"], "upload-metadata" in head.headers) == ("0", False)


async def test_a_piece_of_another_content_type_is_refused(client: httpx.AsyncClient) -> None:
    url = await begun(client, 20)
    answer = await send(client, url, 0, b"\xff\xd8\xff", **{"Content-Type": "application/octet-stream"})
    assert (answer.status_code, code(answer)) == (415, "unsupported_media_type")
    answer = await create(client, 20, b"\xff\xd8\xff", **{"Content-Type": "text/plain"})
    assert answer.status_code == 415


async def test_more_than_was_announced_is_refused(client: httpx.AsyncClient) -> None:
    url = await begun(client, 4)
    answer = await send(client, url, 0, b"\xff\xd8\xff12")
    assert (answer.status_code, answer.json()["error"]["details"]) == (413, {"length": 4})

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"\xff\xd8\xff12"

    assert (await send(client, url, 0, unannounced())).status_code == 413
    assert await offset_of(client, url) == 0


@small
async def test_what_is_over_the_limit_is_refused_when_it_is_announced(client: httpx.AsyncClient) -> None:
    answer = await create(client, LIMIT + 1)
    assert (answer.status_code, answer.json()["error"]["details"]) == (413, {"limit": LIMIT})


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
async def test_a_piece_with_its_checksum_is_taken(client: httpx.AsyncClient, algorithm: str) -> None:
    data = b"\xff\xd8\xff" + bytes(7)
    url = await begun(client, 20)
    answer = await send(client, url, 0, data, **{"Upload-Checksum": checksum(data, algorithm)})
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "10")


async def test_of_a_piece_with_a_wrong_checksum_nothing_is_kept(client: httpx.AsyncClient) -> None:
    data = b"\xff\xd8\xff" + bytes(17)
    url = await begun(client, 20, data[:5])
    answer = await send(client, url, 5, b"y" * 15, **{"Upload-Checksum": checksum(data[5:])})
    assert (answer.status_code, code(answer)) == (460, "checksum_mismatch")
    assert await offset_of(client, url) == 5
    answer = await send(client, url, 5, data[5:], **{"Upload-Checksum": checksum(data[5:])})
    assert answer.status_code == 204
    media = (await client.get(f"/api/v1/media/{answer.headers['holdfast-media-id']}")).json()
    assert media["sha256"] == hashlib.sha256(data).hexdigest()


async def test_a_wrong_checksum_as_a_problem_document(client: httpx.AsyncClient) -> None:
    answer = await create(
        client, 20, b"\xff\xd8\xff",
        **{"Upload-Checksum": checksum(b"else"), "Accept": "application/problem+json"},
    )  # fmt: skip
    assert (answer.status_code, answer.json()["status"]) == (460, 460)


@pytest.mark.parametrize(
    "given", ["crc32 AAAA", "sha1", "sha1 !!!", "sha1 AAAA", "sha256 " + checksum(b"x").split()[1]]
)
async def test_a_checksum_that_cannot_be_one_is_refused(client: httpx.AsyncClient, given: str) -> None:
    url = await begun(client, 20)
    answer = await send(client, url, 0, b"\xff\xd8\xff", **{"Upload-Checksum": given})
    assert (answer.status_code, code(answer)) == (400, "bad_request")
    assert await offset_of(client, url) == 0


async def test_bytes_may_come_with_the_creation(client: httpx.AsyncClient) -> None:
    data = b"\xff\xd8\xff" + bytes(17)
    answer = await create(client, 20, data[:15])
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "15")
    assert "upload-expires" in answer.headers
    last = await send(client, answer.headers["location"], 15, data[15:])
    assert "holdfast-media-id" in last.headers


async def test_a_whole_file_may_come_with_the_creation(
    client: httpx.AsyncClient, sessions: Sessions, workspace: Workspace
) -> None:
    data = b"\xff\xd8\xff" + bytes(17)
    answer = await create(client, 20, data)
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "20")
    media = (await client.get(f"/api/v1/media/{answer.headers['holdfast-media-id']}")).json()
    assert media["sha256"] == hashlib.sha256(data).hexdigest()
    assert media["name"] == "unnamed.jpg"
    assert answer.json()["media_id"] == media["id"]
    assert await count(sessions, Job) == 1
    assert list(workspace.uploads.iterdir()) == []
    assert workspace.path(media["sha256"]).read_bytes() == data


async def test_who_lost_the_last_answer_learns_the_media_file(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    data = b"\xff\xd8\xff" + bytes(17)
    url = await begun(client, 20)
    media_id = (await send(client, url, 0, data)).headers["holdfast-media-id"]
    head = await client.head(url, headers=TUS)
    assert (head.headers["holdfast-media-id"], head.headers["upload-offset"]) == (media_id, "20")
    assert "upload-expires" not in head.headers
    assert (await send(client, url, 20, b"")).headers["holdfast-media-id"] == media_id
    status = (await client.get(url)).json()
    assert (status["media_id"], status["received"], status["length"]) == (media_id, 20, 20)
    assert await count(sessions, MediaFile) == await count(sessions, Job) == 1


async def test_termination_frees_the_room(client: httpx.AsyncClient, workspace: Workspace) -> None:
    url = await begun(client, 20, b"\xff\xd8\xff")
    assert len(list(workspace.uploads.iterdir())) == 1
    assert (await client.delete(url, headers=TUS)).status_code == 204
    assert list(workspace.uploads.iterdir()) == []
    for method in ("HEAD", "PATCH", "DELETE", "GET"):
        given = PIECE | {"Upload-Offset": "3"}
        assert (await client.request(method, url, headers=given)).status_code == 404


async def test_ending_a_finished_upload_leaves_its_media_file(client: httpx.AsyncClient) -> None:
    url = await begun(client, 20)
    media_id = (await send(client, url, 0, b"\xff\xd8\xff" + bytes(17))).headers["holdfast-media-id"]
    assert (await client.delete(url, headers=TUS)).status_code == 204
    assert (await client.get(f"/api/v1/media/{media_id}/content")).status_code == 200


@pytest.mark.parametrize("whole", [True, False])
async def test_what_is_no_media_ends_the_upload_as_soon_as_it_shows(
    client: httpx.AsyncClient, workspace: Workspace, whole: bool
) -> None:
    url = await begun(client, 20_000)
    answer = await send(client, url, 0, b"#!/bin/sh\n" * (2000 if whole else 1700))
    assert (answer.status_code, code(answer)) == (415, "unsupported_media_type")
    assert (await client.head(url, headers=TUS)).status_code == 404
    assert list(workspace.uploads.iterdir()) == []


async def test_a_type_hidden_behind_a_tag_is_told_at_the_end(
    client: httpx.AsyncClient, samples: Samples
) -> None:
    sound = samples.data("tone.flac")
    tag = b"ID3\x04\x00\x00\x00\x02\x00\x00" + bytes(2 << 14)
    data = tag + sound
    url = await begun(client, len(data))
    answer = await send(client, url, 0, data)
    media = (await client.get(f"/api/v1/media/{answer.headers['holdfast-media-id']}")).json()
    assert media["mime_type"] == "audio/flac"


@pytest.mark.parametrize("given", ["filename !", ", ", "filename dQ==,", "f\u00e9 dQ=="])
async def test_malformed_metadata_are_refused(client: httpx.AsyncClient, given: str) -> None:
    headers = TUS | {"Upload-Length": "3"}
    raw = [*headers.items(), ("Upload-Metadata", given.encode("latin-1"))]
    answer = await client.post(UPLOADS, headers=raw)  # type: ignore[arg-type]  # bytes go out as they are
    assert (answer.status_code, "Upload-Metadata" in message(answer)) == (400, True)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (metadata(name="b.jpg"), "b.jpg"),
        (metadata(filename="../../etc/a\0.jpg", type="x"), "../../etc/a.jpg"),
        ("is_private, filename Yi5qcGc=", "b.jpg"),
        ("filename /w==", "\ufffd"),
        ("filename", None),
    ],
)
async def test_the_name_is_in_the_metadata(client: httpx.AsyncClient, given: str, name: str) -> None:
    answer = await create(client, 3, b"", **{"Upload-Metadata": given})
    assert (answer.status_code, answer.json()["name"]) == (201, name)


async def test_uploads_on_their_way_are_listed_for_their_owner(
    client: httpx.AsyncClient, other_client: httpx.AsyncClient
) -> None:
    urls = [await begun(client, 20) for _ in range(2)]
    finished = await begun(client, 3)
    assert (await send(client, finished, 0, b"\xff\xd8\xff")).status_code == 204
    listed = (await client.get(UPLOADS)).json()
    assert [f"{UPLOADS}/{item['id']}" for item in listed["items"]] == urls[::-1]
    assert listed["total"] == 2
    assert (await other_client.get(UPLOADS)).json()["items"] == []


async def test_another_ones_upload_is_not_there(
    client: httpx.AsyncClient, other_client: httpx.AsyncClient
) -> None:
    url = await begun(client, 20, b"\xff\xd8\xff")
    assert (await other_client.head(url, headers=TUS)).status_code == 404
    assert (await send(other_client, url, 3, b"x")).status_code == 404
    assert (await other_client.delete(url, headers=TUS)).status_code == 404
    assert await offset_of(client, url) == 3


async def test_pages_of_other_origins_may_send_and_read_what_the_protocol_needs(
    client: httpx.AsyncClient,
) -> None:
    origin = {"Origin": "http://localhost:3000"}
    asked = {
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "tus-resumable,upload-offset,upload-checksum,content-type",
    }
    preflight = await client.options(f"{UPLOADS}/{uuid.uuid4()}", headers=origin | asked)
    assert preflight.status_code == 200
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert "upload-checksum" in preflight.headers["access-control-allow-headers"].lower()
    answer = await create(client, 20, b"", **origin)
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {
        "location", "tus-resumable", "upload-offset", "upload-length", "upload-metadata", "upload-expires",
        "tus-version", "tus-extension", "tus-max-size", "tus-checksum-algorithm", "holdfast-media-id",
    } <= exposed  # fmt: skip


async def test_the_same_key_begins_one_upload(client: httpx.AsyncClient, workspace: Workspace) -> None:
    key = {"Idempotency-Key": "one"}
    first = await create(client, 20, b"\xff\xd8\xff", **key)
    again = await create(client, 20, b"\xff\xd8\xff", **key)
    assert first.status_code == again.status_code == 201
    assert first.headers["location"] == again.headers["location"]
    assert again.headers["upload-offset"] == "3"
    assert (await create(client, 20, b"\xff\xd8\xfe", **key)).status_code == 409
    assert len(list(workspace.uploads.iterdir())) == 1
