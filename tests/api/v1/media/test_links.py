"""Signed links over HTTP: they let in without a header, to one thing, for a time."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.api_key import ApiKey
from app.models.media_file import MediaFile
from app.models.session import Session
from app.models.user import User
from app.services.auth.scopes import Scope
from app.services.workspace import Workspace
from tests.accounts import OTHER, OWNER, bearer
from tests.api.test_matrix import api_key
from tests.api.v1.media.answers import MEDIA, finish, message, uploaded
from tests.samples import Samples
from tests.serving import serve


@pytest.fixture
async def media(client: httpx.AsyncClient, samples: Samples) -> dict[str, Any]:
    return await uploaded(client, samples.data("picture.jpg"), "day.jpg")


async def linked(http: httpx.AsyncClient, media_id: str, rendition: str = "content", **wanted: Any) -> str:
    answer = await http.post(f"{MEDIA}/{media_id}/links", json={"rendition": rendition} | wanted)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


async def test_a_link_lets_in_without_a_credential(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, samples: Samples, media: dict[str, Any]
) -> None:
    url = await linked(client, media["id"])
    answer = await anonymous.get(url)
    assert (answer.status_code, answer.content) == (200, samples.data("picture.jpg"))
    assert answer.headers["content-disposition"].startswith('inline; filename="day.jpg"')
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers.get_list("cache-control") == ["private, no-cache"]
    assert answer.headers.get_list("content-security-policy") == ["sandbox"]
    head = await anonymous.head(url)
    assert (head.status_code, head.content) == (200, b"")
    part = await anonymous.get(url, headers={"range": "bytes=0-9"})
    assert (part.status_code, part.headers["cross-origin-resource-policy"]) == (206, "cross-origin")
    current = await anonymous.get(url, headers={"if-none-match": answer.headers["etag"]})
    assert (current.status_code, current.headers["cross-origin-resource-policy"]) == (304, "cross-origin")


async def test_a_link_is_for_methods_that_read(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, media: dict[str, Any]
) -> None:
    url = await linked(client, media["id"])
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await anonymous.request(method, url)).status_code == 405


async def test_a_link_says_when_it_ends_and_is_kept_by_nobody(
    client: httpx.AsyncClient, media: dict[str, Any]
) -> None:
    before = datetime.now(UTC)
    for wanted, seconds in (({}, 3600), ({"seconds": 60}, 60)):
        answer = await client.post(f"{MEDIA}/{media['id']}/links", json={"rendition": "content"} | wanted)
        ends = datetime.fromisoformat(answer.json()["expires_at"]) - timedelta(seconds=seconds)
        assert before - timedelta(seconds=1) <= ends <= datetime.now(UTC)
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("settings", [{"MEDIA_LINK_SECONDS": "60"}], indirect=True)
async def test_a_link_holds_no_longer_than_the_setting_says(
    client: httpx.AsyncClient, media: dict[str, Any]
) -> None:
    place = f"{MEDIA}/{media['id']}/links"
    answer = await client.post(place, json={"rendition": "content", "seconds": 61})
    assert answer.status_code == 400
    assert "60 seconds" in message(answer)
    assert answer.json()["error"]["details"] == {"max_link_seconds": 60}
    for wrong in ({"rendition": "content", "seconds": 0}, {"rendition": "probe"}, {}):
        assert (await client.post(place, json=wrong)).status_code == 422


async def test_a_link_may_ask_for_the_file_to_be_saved(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, media: dict[str, Any]
) -> None:
    url = await linked(client, media["id"], disposition="attachment")
    assert (await anonymous.get(url)).headers["content-disposition"].startswith("attachment;")


async def test_a_link_to_what_is_not_made_yet_works_once_it_is(
    *,
    client: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    samples: Samples,
    workspace: Workspace,
    sessions: Sessions,
    media: dict[str, Any],
) -> None:
    url = await linked(client, media["id"], "thumbnail")
    missing = await anonymous.get(url)
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "private, no-cache")
    picture = await workspace.keep(samples.data("picture.jpg"))
    await finish(sessions, media["id"], thumbnail_key=picture.key)
    assert (await anonymous.get(url)).content == samples.data("picture.jpg")


async def test_a_link_that_does_not_hold_is_a_401_that_says_what_to_do(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, media: dict[str, Any]
) -> None:
    url = await linked(client, media["id"])
    for wrong in (f"{url}x", url.replace("/content", "/thumbnail"), f"{MEDIA}/no-id/content?signature=x"):
        answer = await anonymous.get(wrong)
        assert answer.status_code == 401, wrong
        assert "/links" in message(answer)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["cache-control"] == "private, no-cache"


async def test_a_link_counts_and_not_the_credential_beside_it(
    client: httpx.AsyncClient, other_client: httpx.AsyncClient, media: dict[str, Any]
) -> None:
    """A page shows a link to somebody who is logged in as somebody else, whose cookie the browser adds."""
    url = await linked(client, media["id"])
    assert (await other_client.get(url)).status_code == 200
    assert (await client.get(f"{url}x")).status_code == 401


async def test_nobody_makes_links_to_what_is_anothers(
    other_client: httpx.AsyncClient, media: dict[str, Any]
) -> None:
    answer = await other_client.post(f"{MEDIA}/{media['id']}/links", json={"rendition": "content"})
    assert answer.status_code == 404


@pytest.mark.parametrize("settings", [{"REVOCATION_SECONDS": "0"}], indirect=True)
async def test_a_link_ends_with_the_login_that_made_it_the_account_and_the_file(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, sessions: Sessions, media: dict[str, Any]
) -> None:
    url = await linked(client, media["id"])

    async def after(statement: Any) -> int:
        async with transaction(sessions) as session:
            await session.execute(statement)
        return (await anonymous.get(url)).status_code

    standing = update(Session).where(Session.user_id == OWNER)
    account = update(User).where(User.id == OWNER)
    file = update(MediaFile).where(MediaFile.id == uuid.UUID(media["id"]))
    assert await after(standing.values(revoked_at=func.now())) == 401
    assert await after(standing.values(revoked_at=None)) == 200
    assert await after(account.values(disabled_at=func.now())) == 401
    assert await after(account.values(disabled_at=None, password_change_required=True)) == 401
    assert await after(account.values(password_change_required=False)) == 200
    assert await after(file.values(owner_id=OTHER)) == 404
    assert await after(file.values(owner_id=OWNER)) == 200
    assert await after(delete(MediaFile)) == 404
    assert await after(account.values(deleted_at=func.now())) == 401


@pytest.mark.parametrize("settings", [{"REVOCATION_SECONDS": "0"}], indirect=True)
async def test_a_link_ends_with_the_api_key_that_made_it(
    anonymous: httpx.AsyncClient, sessions: Sessions, media: dict[str, Any]
) -> None:
    row, text = api_key(OWNER, {Scope.MEDIA_READ})
    another, _ = api_key(OWNER, {Scope.MEDIA_READ})
    async with transaction(sessions) as session:
        session.add_all([row, another])
    made = await anonymous.post(
        f"{MEDIA}/{media['id']}/links", json={"rendition": "content"}, headers={"X-API-Key": text}
    )
    assert (await anonymous.get(made.json()["url"])).status_code == 200
    async with transaction(sessions) as session:
        await session.execute(update(ApiKey).where(ApiKey.id == row.id).values(revoked_at=func.now()))
    assert (await anonymous.get(made.json()["url"])).status_code == 401


@pytest.mark.parametrize(
    "settings",
    [{"RATE_LIMIT_DEFAULT": "900000/minute", "RATE_LIMIT_ACCOUNT": "800000/minute"}],
    indirect=True,
)
async def test_who_uses_a_link_is_counted_by_address_and_leaves_no_signature_in_the_log(
    settings: AppSettings, media: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    async with serve(settings) as http:
        made = await http.post(
            f"{MEDIA}/{media['id']}/links", json={"rendition": "content"}, headers=bearer(settings)
        )
        answer = await http.get(made.json()["url"])
    assert made.headers["ratelimit-limit"] == "800000"
    assert answer.headers["ratelimit-limit"] == "900000"
    output = capfd.readouterr().out
    lines = [json.loads(line) for line in output.splitlines() if '"message": "request"' in line]
    assert [line for line in lines if line["path"].endswith("/content") and line["user_id"] == str(OWNER)]
    assert made.json()["url"].partition("=")[2] not in output
