"""``Idempotency-Key``: one effect and one answer, however often and from wherever it is sent."""

import asyncio
import json
import uuid
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.credentials import AccountReader
from app.api.deps import SessionDep
from app.api.idempotency import HEADER, REPLAYED, IdempotentRoute, Once, idempotent, later
from app.core.config import AppSettings
from app.core.database import Sessions
from app.core.security import KeyRing
from app.exceptions import ConflictException
from app.main import create_app
from app.models.idempotency_key import IdempotencyKey
from app.models.media_file import MediaFile
from app.models.user import User
from app.schemas.base import BaseSchema
from app.services.auth.scopes import Scope
from app.services.idempotency import Claim, claim_key
from tests.accounts import ADMIN, OTHER, OWNER, bearer
from tests.configuration import make_settings
from tests.samples import Samples
from tests.servers import DEADLINE, WAITING_FOR_LOCKS
from tests.serving import serve

KEY = {HEADER: "8e03978e-40d5-43dd-bc93-6894a57f9324"}
SECRET = "shown-once-0123456789"


class Thing(BaseSchema):
    name: str
    mode: str = "fine"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the first request with a key does not lose patience."""
    monkeypatch.setattr("app.services.idempotency.claim_key.__kwdefaults__", {"patience": DEADLINE})


router = APIRouter(prefix="/things", route_class=IdempotentRoute)


@router.post("", status_code=201, dependencies=[idempotent(Scope.ACCOUNT_READ)])
async def create(session: SessionDep, _: AccountReader, given: Thing, response: Response) -> dict[str, str]:
    """Makes a row each time, whose id is in the answer; fails after that where it is told to."""
    row = User(email=f"{uuid.uuid4()}@things.example", name=given.name)
    session.add(row)
    await session.flush()
    if given.mode == "refuse":
        raise ConflictException
    if given.mode == "break":
        raise RuntimeError("broken")
    if given.mode == "die":
        await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    response.headers["Location"] = f"/things/{row.id}"
    response.headers["Cache-Control"] = "no-store"
    return {"id": str(row.id), "secret": SECRET}


@router.post("/{name}/answered", dependencies=[idempotent(Scope.ACCOUNT_READ)])
async def answered(_: AccountReader, name: str, response: Response) -> dict[str, str]:
    """Answers with the status that it is told, without an error."""
    response.status_code = int(name)
    return {"id": str(uuid.uuid4())}


@router.post("/slow")
async def slow(once: Annotated[Once, later(Scope.ACCOUNT_READ)], _: AccountReader) -> dict[str, str]:
    """Takes its key when it wants to."""
    await once.begin("0" * 64)
    return {"id": str(uuid.uuid4())}


@pytest.fixture
def app_with_things(settings: AppSettings) -> FastAPI:
    return with_things(settings)


def with_things(settings: AppSettings) -> FastAPI:
    app = create_app(settings)
    app.include_router(router)
    return app


@pytest.fixture
async def http(settings: AppSettings, app_with_things: FastAPI) -> Any:
    async with serve(settings, app=app_with_things, headers=bearer(settings)) as http:
        yield http


async def things(session: AsyncSession) -> int:
    found = await session.scalar(select(func.count()).where(User.email.like("%@things.example")))
    await session.rollback()
    return found or 0


async def keys(session: AsyncSession) -> int:
    found = await session.scalar(select(func.count()).select_from(IdempotencyKey))
    await session.rollback()
    return found or 0


async def send(http: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await http.post("/things", json={"name": "a"} | fields, headers=KEY)


async def test_the_second_request_gets_the_first_ones_answer(
    http: httpx.AsyncClient, session: AsyncSession
) -> None:
    first, second = await send(http), await send(http)
    assert (second.status_code, second.content) == (first.status_code, first.content) == (201, first.content)
    for name in ("Content-Type", "Location", "Cache-Control"):
        assert second.headers[name] == first.headers[name]
    assert REPLAYED not in first.headers
    assert second.headers[REPLAYED] == "true"
    assert await things(session) == 1


async def test_without_a_key_each_request_counts(http: httpx.AsyncClient, session: AsyncSession) -> None:
    for _ in range(2):
        assert (await http.post("/things", json={"name": "a"})).status_code == 201
    assert await things(session) == 2
    assert await keys(session) == 0


async def test_twenty_at_once_have_one_effect_and_one_answer(
    http: httpx.AsyncClient, session: AsyncSession
) -> None:
    answers = await asyncio.gather(*(send(http) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAYED in answer.headers for answer in answers) == 19
    assert await things(session) == 1


async def test_another_body_under_the_same_key_is_refused(
    http: httpx.AsyncClient, session: AsyncSession
) -> None:
    await send(http)
    refused = await send(http, name="b")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "idempotency_key_reused"
    assert await things(session) == 1


async def test_another_query_under_the_same_key_is_refused(http: httpx.AsyncClient) -> None:
    await send(http)
    assert (await http.post("/things?b=1", json={"name": "a"}, headers=KEY)).status_code == 409


async def test_the_key_of_another_account_is_another(
    settings: AppSettings, http: httpx.AsyncClient, session: AsyncSession
) -> None:
    mine = await send(http)
    other = await http.post("/things", json={"name": "a"}, headers=KEY | bearer(settings, OTHER))
    assert other.status_code == 201
    assert other.json() != mine.json()
    assert await things(session) == 2
    assert (await send(http)).content == mine.content


async def test_the_key_at_another_path_is_another(http: httpx.AsyncClient) -> None:
    await send(http)
    assert REPLAYED not in (await http.post("/things/200/answered", headers=KEY)).headers


@pytest.mark.parametrize(("mode", "status"), [("refuse", 409), ("break", 500), ("die", 503)])
async def test_what_fails_frees_its_key(
    http: httpx.AsyncClient, session: AsyncSession, mode: str, status: int
) -> None:
    """Refused, broken, or its connection cut, as by the death of its process."""
    assert (await send(http, mode=mode)).status_code == status
    assert await keys(session) == 0
    assert (await send(http)).status_code == 201
    assert await things(session) == 1


async def test_an_answer_that_is_no_success_is_not_kept(
    http: httpx.AsyncClient, session: AsyncSession
) -> None:
    first = await http.post("/things/409/answered", headers=KEY)
    second = await http.post("/things/409/answered", headers=KEY)
    assert first.status_code == second.status_code == 409
    assert first.json() != second.json()
    assert await keys(session) == 0


async def test_a_request_goes_on_when_the_one_that_held_its_key_dies(
    http: httpx.AsyncClient, settings: AppSettings, sessions: Sessions, session: AsyncSession
) -> None:
    claim = Claim(OWNER, "POST /things", KEY[HEADER])
    async with sessions() as holder:
        keys = KeyRing.from_settings(settings.auth)
        assert await claim_key(holder, claim, fingerprint="0" * 64, keys=keys, hours=1) is None
        pid = await holder.scalar(text("SELECT pg_backend_pid()"))
        waiting = asyncio.ensure_future(send(http))
        await until_somebody_waits(session)
        await session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        answer = await waiting
        await holder.invalidate()
    assert (answer.status_code, REPLAYED in answer.headers) == (201, False)
    assert await things(session) == 1


async def test_a_request_waits_for_the_first_and_then_answers_as_it_did(
    http: httpx.AsyncClient, settings: AppSettings, sessions: Sessions, session: AsyncSession
) -> None:
    first = await send(http)
    async with sessions() as holder:
        kept = (await holder.execute(select(IdempotencyKey).with_for_update())).scalar_one()
        waiting = asyncio.ensure_future(send(http))
        await until_somebody_waits(session)
        kept.expires_at += timedelta(hours=1)
        await holder.commit()
    assert (await waiting).content == first.content


async def test_a_request_whose_key_stays_in_use_is_told_to_try_again(
    http: httpx.AsyncClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = {"patience": 0.2}
    monkeypatch.setattr("app.services.idempotency.claim_key.__kwdefaults__", defaults)
    await send(http)
    async with sessions() as holder:
        await holder.execute(update(IdempotencyKey).values(expires_at=func.now()))
        answer = await send(http)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "idempotency_in_progress"
    assert int(answer.headers["Retry-After"]) > 0


async def until_somebody_waits(session: AsyncSession) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await session.scalar(WAITING_FOR_LOCKS):
            await session.rollback()
            await asyncio.sleep(0.01)


async def test_the_answer_outlives_a_restart(
    http: httpx.AsyncClient, settings: AppSettings, session: AsyncSession
) -> None:
    first = await send(http)
    async with serve(settings, app=with_things(settings), headers=bearer(settings)) as restarted:
        assert (await send(restarted)).content == first.content
    assert await things(session) == 1


def rotated(settings: AppSettings, **values: str) -> AppSettings:
    address, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    return make_settings(
        settings.state_dir, address, redis, SECRET_KEY="another-8c2e5f7a9d1b4e6f8a0c", **values
    )


async def test_the_answer_outlives_a_rotation_of_the_secret(
    http: httpx.AsyncClient, settings: AppSettings
) -> None:
    first = await send(http)
    assert settings.auth.secret_key is not None
    later = rotated(settings, SECRET_KEY_PREVIOUS=settings.auth.secret_key.get_secret_value())
    async with serve(later, app=with_things(later), headers=bearer(later)) as restarted:
        assert (await send(restarted)).content == first.content


async def test_a_key_whose_secret_has_gone_is_used_all_the_same(
    http: httpx.AsyncClient, settings: AppSettings, session: AsyncSession
) -> None:
    await send(http)
    later = rotated(settings)
    async with serve(later, app=with_things(later), headers=bearer(later)) as restarted:
        answer = await send(restarted)
    assert answer.status_code == 409
    assert "SECRET_KEY has changed" in answer.json()["error"]["message"]
    assert await things(session) == 1


async def test_a_key_can_be_used_anew_when_its_time_is_over(
    http: httpx.AsyncClient, sessions: Sessions, session: AsyncSession
) -> None:
    await send(http)
    async with sessions.begin() as past:
        await past.execute(update(IdempotencyKey).values(expires_at=func.now()))
    again = await send(http, name="b")
    assert (again.status_code, REPLAYED in again.headers) == (201, False)
    assert (await send(http, name="b")).headers[REPLAYED] == "true"
    assert await things(session) == 2


async def test_a_key_is_kept_for_the_hours_that_are_set(
    http: httpx.AsyncClient, settings: AppSettings, session: AsyncSession
) -> None:
    await send(http)
    hours = func.extract("epoch", IdempotencyKey.expires_at - IdempotencyKey.created_at) / 3600
    assert await session.scalar(select(hours)) == settings.rate_limit.idempotency_hours == 24


async def test_neither_the_answer_nor_the_key_can_be_read_from_the_table(
    http: httpx.AsyncClient, session: AsyncSession
) -> None:
    assert SECRET in (await send(http)).text
    row = (await session.execute(text("SELECT k::text, answer FROM idempotency_keys k"))).one()
    with pytest.raises(ValueError, match=r"JSON|Expecting|codec"):
        json.loads(row.answer)
    assert SECRET.encode() not in row.answer
    assert SECRET not in row.k
    assert KEY[HEADER] not in row.k


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "t\tb", "\xfc"])
async def test_a_malformed_key_is_refused(http: httpx.AsyncClient, session: AsyncSession, key: str) -> None:
    answer = await http.post(
        "/things", json={"name": "a"}, headers=[(HEADER.encode(), key.encode("latin-1"))]
    )
    assert answer.status_code == 400
    assert await things(session) == 0


@pytest.mark.parametrize("key", ["!", "~" * 255, '"8e03978e"'])
async def test_every_visible_character_may_be_in_a_key(http: httpx.AsyncClient, key: str) -> None:
    assert (await http.post("/things", json={"name": "a"}, headers={HEADER: key})).status_code == 201


async def test_an_invalid_body_does_not_use_its_key_up(
    http: httpx.AsyncClient, session: AsyncSession
) -> None:
    assert (await http.post("/things", json={"wrong": 1}, headers=KEY)).status_code == 422
    assert await keys(session) == 0


async def test_a_key_without_a_credential_is_401_and_leaves_nothing(
    anonymous: httpx.AsyncClient, session: AsyncSession
) -> None:
    answer = await anonymous.post("/api/v1/api-keys", json={"name": "k", "scopes": []}, headers=KEY)
    assert answer.status_code == 401
    assert await keys(session) == 0


async def test_a_route_may_take_its_key_when_it_knows_what_is_asked(http: httpx.AsyncClient) -> None:
    first, second = [await http.post("/things/slow", headers=KEY) for _ in range(2)]
    assert first.json() == second.json()


async def upload(
    client: httpx.AsyncClient, data: bytes, boundary: str, name: str = "a.jpg"
) -> httpx.Response:
    form = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    headers = KEY | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return await client.post("/api/v1/media", content=form, headers=headers)


async def files(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(MediaFile)) or 0


async def test_an_upload_sent_again_with_another_boundary_is_the_same(
    client: httpx.AsyncClient, samples: Samples, session: AsyncSession
) -> None:
    data = samples.data("picture.jpg")
    first, second = await upload(client, data, "one"), await upload(client, data, "another")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first.headers["Location"] == second.headers["Location"]
    assert await files(session) == 1


async def test_uploads_at_once_with_one_key_are_one_file(
    client: httpx.AsyncClient, samples: Samples, session: AsyncSession
) -> None:
    data = samples.data("picture.jpg")
    answers = await asyncio.gather(*(upload(client, data, f"b{number}") for number in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await files(session) == 1


@pytest.mark.parametrize(("file", "name"), [("tone.mp3", "a.jpg"), ("picture.jpg", "b.jpg")])
async def test_another_file_or_name_under_the_same_key_is_refused(
    client: httpx.AsyncClient, samples: Samples, session: AsyncSession, file: str, name: str
) -> None:
    await upload(client, samples.data("picture.jpg"), "one")
    assert (await upload(client, samples.data(file), "one", name)).status_code == 409
    assert await files(session) == 1


async def test_a_made_api_key_is_shown_again_to_who_knows_the_idempotency_key(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    wanted = {"name": "robot", "scopes": ["jobs:read"]}
    first, second = [await client.post("/api/v1/api-keys", json=wanted, headers=KEY) for _ in range(2)]
    assert first.status_code == 201, first.text
    assert first.content == second.content
    assert second.headers["Cache-Control"] == "no-store"
    kept = await session.scalar(select(IdempotencyKey.answer))
    assert kept is not None
    assert first.json()["key"].encode() not in kept


async def test_every_post_that_creates_takes_the_header_and_declares_its_conflicts(
    settings: AppSettings,
) -> None:
    """What answers 201 creates, and so does what accepts at a list (202): a thing's own POSTs act on it."""
    document = create_app(settings).openapi()
    creating = {
        path: operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method == "post" and "security" in operation
        if "201" in operation["responses"] or ("202" in operation["responses"] and "get" in operations)
    }
    assert {"/api/v1/media", "/api/v1/api-keys", "/api/v1/users/me/exports"} <= set(creating)
    for path, operation in creating.items():
        headers = {parameter["name"] for parameter in operation["parameters"]}
        assert HEADER in headers, path
        assert "409" in operation["responses"], path


async def test_who_lost_the_right_gets_no_kept_answer(
    http: httpx.AsyncClient, settings: AppSettings, admin_client: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    wanted = {"email": "new@example.com", "name": "", "role": "user"}
    made = await admin_client.post("/api/v1/admin/users", json=wanted, headers=KEY)
    assert made.status_code == 201, made.text
    again = await admin_client.post("/api/v1/admin/users", json=wanted, headers=KEY | bearer(settings, ADMIN))
    assert again.content == made.content
    assert (await client.post("/api/v1/admin/users", json=wanted, headers=KEY)).status_code == 403
