"""Media over HTTP: what is sent in."""

import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.core.config import AppSettings
from app.core.database import Sessions
from app.models.job import Job
from app.models.media_file import MediaFile
from app.services.workspace import Workspace
from tests.accounts import bearer
from tests.api.v1.media.answers import LIMIT, MEDIA, count, message, small, stored, uploaded
from tests.configuration import PATIENT, SECRET_KEY
from tests.samples import Samples, playlist
from tests.servers import DEADLINE


async def test_an_upload_answers_with_its_file_and_its_job(
    client: httpx.AsyncClient, samples: Samples, workspace: Workspace, sessions: Sessions
) -> None:
    data = samples.data("clip.mp4", seconds=10)
    answer = await client.post(MEDIA, files={"file": ("Ferien 🏖️.mp4", data, "text/html")})
    assert answer.status_code == 201
    media = answer.json()
    assert answer.headers["location"] == f"{MEDIA}/{media['id']}"
    assert media["name"] == "Ferien 🏖️.mp4"
    assert media["size"] == len(data)
    assert media["sha256"] == hashlib.sha256(data).hexdigest()
    assert (media["mime_type"], media["kind"], media["state"]) == ("video/mp4", "video", "uploaded")
    assert workspace.path(media["sha256"]).read_bytes() == data
    async with sessions() as session:
        job = await session.get_one(Job, uuid.UUID(media["job_id"]))
    assert (job.kind, job.queue, job.args) == ("media.process", "media", {"media_id": media["id"]})


async def test_a_body_without_a_form_is_the_file(client: httpx.AsyncClient, samples: Samples) -> None:
    data = samples.data("tone.mp3")
    answer = await client.post(
        MEDIA, params={"filename": "../a/song.mp3"}, content=data, headers={"content-type": "audio/mpeg"}
    )
    assert answer.status_code == 201
    assert (answer.json()["name"], answer.json()["size"]) == ("song.mp3", len(data))


async def test_a_body_without_a_name_is_named_by_its_type(
    client: httpx.AsyncClient, samples: Samples
) -> None:
    answer = await client.post(MEDIA, content=samples.data("picture.gif"))
    assert answer.json()["name"] == "unnamed.gif"


async def test_a_body_of_unknown_length_is_taken(client: httpx.AsyncClient, samples: Samples) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(samples.data("clip.mp4")), 10_000):
            yield samples.data("clip.mp4")[start : start + 10_000]

    answer = await client.post(MEDIA, content=chunks())
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "content",
    [
        b"this is text",
        b"<!doctype html><script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        playlist(Path("/etc/passwd")),
    ],
)
async def test_what_only_calls_itself_media_is_refused_with_what_is_accepted(
    client: httpx.AsyncClient, workspace: Workspace, sessions: Sessions, content: bytes
) -> None:
    answer = await client.post(MEDIA, files={"file": ("clip.mp4", content, "video/mp4")})
    assert answer.status_code == 415
    assert "MP4" in message(answer)
    assert stored(workspace) == []
    assert await count(sessions, MediaFile) == await count(sessions, Job) == 0


@pytest.mark.parametrize("form", [True, False])
async def test_an_empty_file_is_refused(client: httpx.AsyncClient, workspace: Workspace, form: bool) -> None:
    answer = await (
        client.post(MEDIA, files={"file": ("a.mp4", b"")}) if form else client.post(MEDIA, content=b"")
    )
    assert answer.status_code == 400
    assert message(answer) == "The file is empty."
    assert stored(workspace) == []


async def test_a_form_without_a_file_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(MEDIA, files={"other": ("a.mp4", b"x")})
    assert answer.status_code == 400
    assert "file" in message(answer)


async def test_a_name_of_any_length_is_shortened(client: httpx.AsyncClient, samples: Samples) -> None:
    media = await uploaded(client, samples.data("picture.jpg"), "n" * 3000 + ".jpg")
    assert len(media["name"]) == 200
    assert media["name"].endswith(".jpg")


Sent = list[dict[str, Any]]
Messages = AsyncIterator[dict[str, Any]]


async def send_upload(
    app: FastAPI, settings: AppSettings, messages: Callable[[Sent], Messages], length: int | None = None
) -> Sent:
    """An upload below the level of HTTP, where a client sees what is read of it and can go away.

    Args:
        app: inside its lifespan.
        settings: those that it was made with.
        messages: makes what the server receives; is given the list of what it sent so far.
        length: bytes that the client announces.
    """
    sent: Sent = []
    coming = messages(sent)

    async def send(message: Any) -> None:
        sent.append(message)

    announced = (b"transfer-encoding", b"chunked") if length is None else (b"content-length", b"%d" % length)
    credential = bearer(settings)["Authorization"].encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": MEDIA,
        "raw_path": MEDIA.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"authorization", credential), announced],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app.state.asgi(scope, lambda: anext(coming), send)
    return sent


@small
@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 10, 2_000_000_000_000])
async def test_what_announces_itself_over_the_limit_is_refused_before_its_body_is_read(
    app: FastAPI, settings: AppSettings, size: int
) -> None:
    answered_first = False

    async def messages(sent: Sent) -> Messages:
        nonlocal answered_first
        answered_first = bool(sent)
        yield {"type": "http.disconnect"}

    sent = await send_upload(app, settings, messages, length=size)
    assert sent[0]["status"] == 413
    assert answered_first


@small
async def test_what_does_not_announce_itself_is_refused_when_it_passes_the_limit(
    app: FastAPI, settings: AppSettings, samples: Samples, workspace: Workspace
) -> None:
    taken = 0

    async def messages(sent: Sent) -> Messages:
        nonlocal taken
        yield {"type": "http.request", "body": samples.data("picture.bmp")[: LIMIT // 2], "more_body": True}
        while not sent:
            taken += 1000
            yield {"type": "http.request", "body": bytes(1000), "more_body": True}
        yield {"type": "http.disconnect"}

    with anyio.fail_after(DEADLINE):
        sent = await send_upload(app, settings, messages)
    assert sent[0]["status"] == 413
    assert taken <= LIMIT // 2 + 1000
    assert stored(workspace) == []


@small
async def test_a_form_may_have_a_file_of_just_the_limit(client: httpx.AsyncClient, samples: Samples) -> None:
    data = samples.data("picture.jpg")
    exact = data + bytes(LIMIT - len(data))
    assert (await client.post(MEDIA, files={"file": ("a.jpg", exact)})).status_code == 201
    assert (await client.post(MEDIA, files={"file": ("a.jpg", exact + b"x")})).status_code == 413


@pytest.mark.parametrize("settings", [{"WORKSPACE_MINIMUM_FREE": str(2**60)}], indirect=True)
async def test_a_full_workspace_is_told(client: httpx.AsyncClient, samples: Samples) -> None:
    answer = await client.post(MEDIA, content=samples.data("picture.jpg"))
    assert answer.status_code == 507
    assert answer.json()["error"]["details"] == {"workspace": "full"}


@pytest.mark.parametrize("settings", [{"WORKSPACE_ROOT": "/nonexistent/workspace"}], indirect=True)
async def test_a12_a_missing_workspace_is_told(client: httpx.AsyncClient, samples: Samples) -> None:
    answer = await client.post(MEDIA, content=samples.data("picture.jpg"))
    assert answer.status_code == 507
    assert "mount" in message(answer)


async def test_a_sender_that_goes_away_leaves_nothing_behind(
    app: FastAPI, settings: AppSettings, samples: Samples, workspace: Workspace, sessions: Sessions
) -> None:
    async def messages(_sent: Sent) -> Messages:
        yield {"type": "http.request", "body": samples.data("clip.mp4"), "more_body": True}
        yield {"type": "http.request", "body": bytes(3_000_000), "more_body": True}
        assert stored(workspace)
        while True:
            yield {"type": "http.disconnect"}

    await send_upload(app, settings, messages)
    assert stored(workspace) == []
    assert await count(sessions, MediaFile) == await count(sessions, Job) == 0


async def test_an_upload_that_is_cut_off_by_a_stop_leaves_nothing_behind(
    app: FastAPI, settings: AppSettings, samples: Samples, workspace: Workspace
) -> None:
    waiting = anyio.Event()

    async def messages(_sent: Sent) -> Messages:
        yield {"type": "http.request", "body": samples.data("clip.mp4") + bytes(3_000_000), "more_body": True}
        waiting.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(send_upload, app, settings, messages)
        with anyio.fail_after(DEADLINE):
            await waiting.wait()
        assert stored(workspace)
        group.cancel_scope.cancel()
    assert stored(workspace) == []


async def test_without_its_commit_an_upload_has_neither_row_nor_job(
    client: httpx.AsyncClient, samples: Samples, sessions: Sessions
) -> None:
    def fail(_session: Session) -> None:
        raise OperationalError("COMMIT", {}, Exception("the server went away"))

    event.listen(Session, "before_commit", fail)
    try:
        answer = await client.post(MEDIA, content=samples.data("picture.jpg"))
    finally:
        event.remove(Session, "before_commit", fail)
    assert answer.status_code == 503
    assert await count(sessions, MediaFile) == await count(sessions, Job) == 0


GROWTH = 40 * 1024 * 1024


@pytest.mark.parametrize("form", ["form", "raw", "tus"])
async def test_an_upload_of_200_mb_never_lies_in_memory(settings: AppSettings, form: str) -> None:
    """Measured in a process of its own, whose memory nothing else has touched."""
    environment = {
        **os.environ,
        **PATIENT,
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "REDIS_URL": settings.redis.url.get_secret_value(),
        "STATE_DIR": str(settings.state_dir),
        "SECRET_KEY": SECRET_KEY,
    }
    command = [sys.executable, "-m", "tests.api.v1.media.upload_much", form]
    done = await anyio.run_process(command, env=environment, check=False, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    # A busy machine may make it say something besides.
    [grown] = [int(line) for line in done.stdout.splitlines() if line.isdigit()]
    assert grown < GROWTH
