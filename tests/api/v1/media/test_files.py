"""Media over HTTP: list, look at, download."""

import uuid

import httpx
import pytest
from sqlalchemy import delete, func

from app.core.database import Sessions, transaction
from app.models.job import Job
from app.models.media_file import MediaFile
from app.models.user import User
from app.services.media.renditions import EXTENSIONS
from app.services.workspace import Workspace
from tests.api.v1.media.answers import MEDIA, end_job, finish, message, uploaded
from tests.samples import Samples


async def test_files_are_listed_newest_first_in_pages(client: httpx.AsyncClient, samples: Samples) -> None:
    ids = [
        (await uploaded(client, samples.data("picture.jpg"), f"{number}.jpg"))["id"] for number in range(3)
    ]
    first = (await client.get(MEDIA, params={"page_size": 2})).json()
    second = (await client.get(MEDIA, params={"page_size": 2, "page": 2})).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert (first["total"], first["page"], first["page_size"]) == (3, 1, 2)
    assert "probe" not in first["items"][0]


async def test_the_list_is_filtered_by_kind_and_state(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    picture = await uploaded(client, samples.data("picture.jpg"))
    song = await uploaded(client, samples.data("tone.mp3"))
    failed = await uploaded(client, samples.data("truncated.mp4"))
    await finish(sessions, song["id"], probe={})
    await end_job(sessions, failed["job_id"], "failed", "It is damaged.")

    async def found(**filters: str) -> list[str]:
        page = (await client.get(MEDIA, params=filters)).json()
        assert page["total"] == len(page["items"])
        return [item["id"] for item in page["items"]]

    assert await found(kind="image") == [picture["id"]]
    assert await found(state="uploaded") == [picture["id"]]
    assert await found(state="ready") == [song["id"]]
    assert await found(state="failed") == [failed["id"]]
    assert await found(state="processing") == []
    assert await found(kind="image", state="ready") == []
    assert (await client.get(MEDIA, params={"kind": "text"})).status_code == 422


@pytest.mark.parametrize(
    ("job_state", "state"),
    [("queued", "uploaded"), ("retrying", "processing"), ("failed", "failed"), ("cancelled", "failed")],
)
async def test_the_state_of_a_file_is_told_from_its_job(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions, job_state: str, state: str
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    async with transaction(sessions) as session:
        job = await session.get_one(Job, uuid.UUID(media["job_id"]))
        job.state = job_state
        job.finished_at = func.now() if state == "failed" else None
    seen = (await client.get(f"{MEDIA}/{media['id']}")).json()
    assert seen["state"] == state
    assert (seen["error"] is not None) == (state == "failed")
    listed = (await client.get(MEDIA, params={"state": state})).json()
    assert [item["id"] for item in listed["items"]] == [media["id"]]


async def test_the_reason_of_a_failure_is_shown(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("truncated.mp4"))
    await end_job(sessions, media["job_id"], "failed", "The file is damaged.")
    seen = (await client.get(f"{MEDIA}/{media['id']}")).json()
    assert (seen["state"], seen["error"]) == ("failed", "The file is damaged.")
    answer = await client.get(f"{MEDIA}/{media['id']}/thumbnail")
    assert answer.status_code == 404
    assert "The file is damaged." in message(answer)


async def test_a_file_outlives_the_job_that_processed_it(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("tone.mp3"))
    lost = await uploaded(client, samples.data("tone.mp3"))
    await finish(sessions, media["id"], probe={"streams": []})
    async with transaction(sessions) as session:
        await session.execute(delete(Job))
    seen = (await client.get(f"{MEDIA}/{media['id']}")).json()
    assert (seen["state"], seen["job_id"], seen["probe"]) == ("ready", None, {"streams": []})
    unprocessed = (await client.get(f"{MEDIA}/{lost['id']}")).json()
    assert unprocessed["state"] == "failed"
    assert "no longer kept" in unprocessed["error"]
    assert (await client.get(MEDIA, params={"state": "failed"})).json()["total"] == 1


async def test_the_file_comes_back_as_it_went_in_under_safe_headers(
    client: httpx.AsyncClient, samples: Samples
) -> None:
    data = samples.data("clip.mp4")
    media = await uploaded(client, data, 'a"b\u8a9e.html')
    answer = await client.get(f"{MEDIA}/{media['id']}/content")
    assert answer.content == data
    headers = answer.headers
    assert headers["content-type"] == "video/mp4"
    assert headers["content-disposition"].startswith(
        "attachment; filename=\"a_b.html\"; filename*=UTF-8''a%22b"
    )
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("content-security-policy") == ["sandbox"]
    assert headers["etag"] == f'"{media["sha256"]}"'
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-length"] == str(len(data))


async def test_ranges_are_answered(client: httpx.AsyncClient, samples: Samples) -> None:
    data = samples.data("clip.mp4")
    url = f"{MEDIA}/{(await uploaded(client, data))['id']}/content"
    part = await client.get(url, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
    assert (await client.get(url, headers={"range": "bytes=-5"})).content == data[-5:]
    several = await client.get(url, headers={"range": "bytes=0-1,-2"})
    assert several.headers["content-type"].startswith("multipart/byteranges")


async def test_a_range_of_an_older_content_gives_the_whole(
    client: httpx.AsyncClient, samples: Samples
) -> None:
    data = samples.data("clip.mp4")
    media = await uploaded(client, data)
    url = f"{MEDIA}/{media['id']}/content"
    old = await client.get(url, headers={"range": "bytes=0-1", "if-range": '"older"'})
    assert (old.status_code, old.content) == (200, data)
    current = await client.get(url, headers={"range": "bytes=0-1", "if-range": f'"{media["sha256"]}"'})
    assert current.status_code == 206


async def test_a_range_outside_the_file_is_an_error_in_the_one_form(
    client: httpx.AsyncClient, samples: Samples
) -> None:
    data = samples.data("picture.jpg")
    url = f"{MEDIA}/{(await uploaded(client, data))['id']}/content"
    answer = await client.get(url, headers={"range": f"bytes={len(data)}-"})
    assert answer.status_code == 416
    assert answer.json()["error"]["code"] == "range_not_satisfiable"
    assert answer.headers["content-range"] == f"bytes */{len(data)}"


async def test_a_malformed_range_is_ignored(client: httpx.AsyncClient, samples: Samples) -> None:
    data = samples.data("picture.jpg")
    url = f"{MEDIA}/{(await uploaded(client, data))['id']}/content"
    answer = await client.get(url, headers={"range": "pages=1"})
    assert (answer.status_code, answer.content) == (200, data)


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"x", "{}"', "*"])
async def test_a_current_copy_is_not_sent_again(
    client: httpx.AsyncClient, samples: Samples, form: str
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    url = f"{MEDIA}/{media['id']}/content"
    answer = await client.get(url, headers={"if-none-match": form.format(media["sha256"])})
    assert (answer.status_code, answer.content) == (304, b"")
    assert (await client.get(url, headers={"if-none-match": '"other"'})).status_code == 200


async def test_head_tells_the_size_alone(client: httpx.AsyncClient, samples: Samples) -> None:
    data = samples.data("picture.jpg")
    answer = await client.head(f"{MEDIA}/{(await uploaded(client, data))['id']}/content")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(data))


async def test_a_file_that_the_workspace_lost_is_told(
    client: httpx.AsyncClient, samples: Samples, workspace: Workspace
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    workspace.path(media["sha256"]).unlink()
    answer = await client.get(f"{MEDIA}/{media['id']}/content")
    assert answer.status_code == 503
    assert "workspace" in message(answer)


async def test_a_thumbnail_is_shown_in_the_page(
    client: httpx.AsyncClient, samples: Samples, workspace: Workspace, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("clip.mp4"))
    picture = await workspace.keep(samples.data("picture.jpg"))
    await finish(sessions, media["id"], probe={}, thumbnail_key=picture.key)
    answer = await client.get(f"{MEDIA}/{media['id']}/thumbnail")
    assert answer.content == samples.data("picture.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"].startswith('inline; filename="clip.jpg"')
    assert answer.headers["etag"] == f'"{picture.key}"'
    assert (await client.get(f"{MEDIA}/{media['id']}")).json()["has_thumbnail"] is True


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("poster", "image/jpeg"),
        ("preview", "video/mp4"),
        ("preview", "audio/mp4"),
        ("preview", "image/jpeg"),
        ("waveform", "application/json"),
    ],
)
async def test_each_rendition_is_sent_as_what_it_is(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions, name: str, mime: str
) -> None:
    media = await uploaded(client, samples.data("clip.mp4"))
    made = {f"{name}_key": media["sha256"]}
    await finish(sessions, media["id"], probe={}, preview_type=mime if name == "preview" else None, **made)
    answer = await client.get(f"{MEDIA}/{media['id']}/{name}", headers={"Range": "bytes=4-7"})
    assert (answer.status_code, answer.content) == (206, b"ftyp")
    assert answer.headers["content-type"] == mime
    extension = EXTENSIONS[mime]
    assert answer.headers["content-disposition"].startswith(f'inline; filename="clip{extension}"')
    assert answer.headers["content-security-policy"] == "sandbox"
    seen = (await client.get(f"{MEDIA}/{media['id']}")).json()
    others = {"thumbnail", "poster", "preview", "waveform"} - {name}
    assert seen[f"has_{name}"] is True
    assert not [other for other in others if seen[f"has_{other}"]]


async def test_a_rendition_that_is_missing_says_what_is_noted_of_it_alone(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("clip.mp4"))
    notes = "There is no waveform: the sound cannot be read.\nThere is no preview: it is too odd."
    await finish(sessions, media["id"], probe={}, note=notes)
    said = {
        name: message(await client.get(f"{MEDIA}/{media['id']}/{name}"))
        for name in ("preview", "waveform", "poster")
    }
    assert said == {
        "preview": "This file has no preview. There is no preview: it is too odd.",
        "waveform": "This file has no waveform. There is no waveform: the sound cannot be read.",
        "poster": "This file has no poster. Only videos, and sound with a cover, have one.",
    }


async def test_a_thumbnail_that_is_not_there_yet_says_how_far_its_job_is(
    client: httpx.AsyncClient, samples: Samples
) -> None:
    media = await uploaded(client, samples.data("clip.mp4"))
    answer = await client.get(f"{MEDIA}/{media['id']}/thumbnail")
    assert answer.status_code == 404
    assert "queued" in message(answer)
    assert answer.json()["error"]["details"] == {"state": "uploaded", "job_state": "queued"}


@pytest.mark.parametrize(
    ("note", "words"), [(None, "no picture in it"), ("There is no thumbnail: x.", "no thumbnail: x.")]
)
async def test_a_file_that_has_no_thumbnail_says_why(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions, note: str | None, words: str
) -> None:
    media = await uploaded(client, samples.data("tone.mp3"))
    await finish(sessions, media["id"], probe={}, note=note)
    answer = await client.get(f"{MEDIA}/{media['id']}/thumbnail")
    assert answer.status_code == 404
    assert words in message(answer)


@pytest.mark.parametrize("path", ["", "/content", "/thumbnail", "/poster", "/preview", "/waveform"])
async def test_an_unknown_file_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    unknown = uuid.uuid4()
    answer = await client.get(f"{MEDIA}/{unknown}{path}")
    assert answer.status_code == 404
    assert str(unknown) in message(answer)
    assert (await client.get(f"{MEDIA}/no-id{path}")).status_code == 422


async def test_anothers_file_is_not_there(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    media = await uploaded(client, samples.data("picture.jpg"))
    async with transaction(sessions) as session:
        other = User(email="other@localhost")
        session.add(other)
        await session.flush()
        (await session.get_one(MediaFile, uuid.UUID(media["id"]))).owner_id = other.id
    for path in ("", "/content", "/thumbnail", "/poster", "/preview", "/waveform"):
        assert (await client.get(f"{MEDIA}/{media['id']}{path}")).status_code == 404
    assert (await client.get(MEDIA)).json()["total"] == 0


async def test_without_a_credential_nothing_is_answered(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get(MEDIA)).status_code == 401


async def test_the_document_declares_bodies_and_answers(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    upload = paths[MEDIA]["post"]
    assert set(upload["requestBody"]["content"]) == {"multipart/form-data", "application/octet-stream"}
    assert {"201", "400", "413", "415", "507"} <= set(upload["responses"])
    content = paths[MEDIA + "/{media_id}/content"]["get"]["responses"]
    assert "video/mp4" in content["200"]["content"]
    assert {"206", "304", "404", "416"} <= set(content)
