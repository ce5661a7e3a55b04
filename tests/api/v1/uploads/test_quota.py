"""How much one account may store."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Sessions
from app.models.media_file import MediaFile
from app.services.media.quota import Allowance
from app.services.workspace import Workspace
from tests.api.v1.media.answers import MEDIA, count, stored
from tests.api.v1.uploads.client import TUS, begun, code, create, send

QUOTA = 100_000


limited = pytest.mark.parametrize("settings", [{"MEDIA_QUOTA": str(QUOTA)}], indirect=True)


def picture(size: int) -> bytes:
    return b"\xff\xd8\xff" + bytes(size - 3)


def in_place(workspace: Workspace) -> int:
    """Bytes of all objects, whether a row refers to them or not."""
    return sum(path.stat().st_size for path in stored(workspace) if workspace.objects in path.parents)


async def see_nothing(_allowance: Allowance, _size: int) -> object:
    """As if all had looked before the first was accepted."""
    return type("Room", (), {"fits": lambda _self, _size: True})()


async def raw(client: httpx.AsyncClient, data: bytes, **headers: str) -> httpx.Response:
    return await client.post(MEDIA, content=data, headers=headers)


@limited
async def test_files_fit_to_the_last_byte_and_no_further(client: httpx.AsyncClient) -> None:
    assert (await raw(client, picture(QUOTA))).status_code == 201
    answer = await raw(client, picture(4))
    assert (answer.status_code, code(answer)) == (413, "quota_exceeded")
    assert answer.json()["error"]["details"] == {"quota": QUOTA, "used": QUOTA, "size": 1}


@limited
async def test_an_announced_size_that_does_not_fit_is_refused_before_the_body_is_read(
    client: httpx.AsyncClient, workspace: Workspace
) -> None:
    answer = await raw(client, picture(4), **{"Content-Length": str(2 * QUOTA)})
    assert (answer.status_code, code(answer)) == (413, "quota_exceeded")
    assert not workspace.uploads.exists()


@limited
async def test_a_body_of_unknown_size_is_refused_when_it_passes_the_quota(
    client: httpx.AsyncClient, workspace: Workspace
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield picture(QUOTA)
        yield b"x"

    answer = await client.post(MEDIA, content=body())
    assert (answer.status_code, code(answer)) == (413, "quota_exceeded")
    assert stored(workspace) == []


@limited
async def test_announced_uploads_count_until_they_are_ended(client: httpx.AsyncClient) -> None:
    url = await begun(client, QUOTA - 100)
    answer = await create(client, 101)
    assert (answer.status_code, code(answer)) == (413, "quota_exceeded")
    assert answer.json()["error"]["details"] == {"quota": QUOTA, "used": QUOTA - 100, "size": 101}
    assert (await raw(client, picture(101))).status_code == 413
    assert (await client.delete(url, headers=TUS)).status_code == 204
    assert (await raw(client, picture(101))).status_code == 201


@limited
async def test_a_finished_upload_counts_once(client: httpx.AsyncClient) -> None:
    url = await begun(client, QUOTA - 10)
    assert (await send(client, url, 0, picture(QUOTA - 10))).status_code == 204
    assert (await raw(client, picture(10))).status_code == 201


@limited
async def test_another_account_has_its_own(
    client: httpx.AsyncClient, other_client: httpx.AsyncClient
) -> None:
    await begun(client, QUOTA)
    assert (await raw(other_client, picture(QUOTA))).status_code == 201


@limited
async def test_of_many_at_once_no_more_get_in_than_fit(
    client: httpx.AsyncClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Allowance, "require", see_nothing)
    size = QUOTA // 3
    answers = await asyncio.gather(
        *(raw(client, picture(size - number)) for number in range(4)),
        *(create(client, size) for _ in range(4)),
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [413] * 5
    files = await count(sessions, MediaFile)
    assert files == sum(answer.status_code == 201 for answer in answers[:4])


@limited
async def test_who_asks_again_with_the_same_key_is_answered_though_the_room_is_used_up(
    client: httpx.AsyncClient,
) -> None:
    key = {"Idempotency-Key": "one"}
    first = await raw(client, picture(QUOTA), **key)
    again = await raw(client, picture(QUOTA), **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (await raw(client, picture(QUOTA), **{"Idempotency-Key": "two"})).status_code == 413


@limited
@pytest.mark.parametrize("way", ["alone", "resumable"])
async def test_a_key_that_has_an_answer_stores_nothing_else(
    client: httpx.AsyncClient, workspace: Workspace, way: str
) -> None:
    async def post(data: bytes) -> httpx.Response:
        key = {"Idempotency-Key": "one"}
        return await (raw(client, data, **key) if way == "alone" else create(client, len(data), data, **key))

    assert (await post(picture(10))).status_code == 201
    again = [await post(picture(QUOTA - number)) for number in range(3)]
    assert [code(answer) for answer in again] == ["idempotency_key_reused"] * 3
    assert in_place(workspace) == 10
    assert list(workspace.uploads.iterdir()) == []


@limited
@pytest.mark.parametrize("way", ["alone", "resumable"])
async def test_of_many_at_once_nothing_is_left_of_those_that_are_refused(
    client: httpx.AsyncClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(Allowance, "require", see_nothing)
    files = [picture(QUOTA - 10_000 - number) for number in range(8)]
    answers = await asyncio.gather(
        *(raw(client, data) if way == "alone" else create(client, len(data), data) for data in files)
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [413] * 7
    assert in_place(workspace) == next(
        len(data) for data, answer in zip(files, answers, strict=True) if answer.status_code == 201
    )
    assert list(workspace.uploads.iterdir()) == []


@pytest.mark.parametrize("settings", [{"MEDIA_QUOTA": "0"}], indirect=True)
async def test_without_a_quota_all_that_has_room_is_taken(client: httpx.AsyncClient) -> None:
    assert (await create(client, 2**31)).status_code == 201
    assert (await raw(client, picture(QUOTA))).status_code == 201
