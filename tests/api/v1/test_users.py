"""One's own account."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import select, update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.models.api_key import ApiKey
from app.models.audit_event import AuditEvent
from app.models.data_export import DataExport
from app.models.job import Job, JobState
from app.models.session import Session
from app.models.user import User
from app.services.accounts.deletion import DELETE, released_address
from app.services.accounts.exports import EXPORT
from app.services.auth.passwords import Passwords
from app.services.users import SYSTEM_OWNER
from app.services.workspace import Workspace
from tests.accounts import ADMIN, EMAILS, OTHER, OWNER, SERVICE, bearer
from tests.postbox import Postbox

ME = "/api/v1/users/me"
PASSWORD = "the owner's password"


@pytest.fixture
def postbox(settings: AppSettings, sessions: Sessions) -> Postbox:
    return Postbox(settings, sessions)


@pytest.fixture(autouse=True)
async def passwords(settings: AppSettings, sessions: Sessions) -> None:
    hashed = await Passwords(settings.auth).hash(PASSWORD)
    async with transaction(sessions) as session:
        await session.execute(update(User).where(User.id.in_([OWNER, ADMIN])).values(password_hash=hashed))


async def row(sessions: Sessions, user_id: uuid.UUID = OWNER) -> User:
    async with sessions() as session:
        return await session.get_one(User, user_id)


async def events(sessions: Sessions) -> list[str]:
    async with sessions() as session:
        return list(await session.scalars(select(AuditEvent.event).order_by(AuditEvent.created_at)))


async def delete(http: httpx.AsyncClient, password: str = PASSWORD) -> httpx.Response:
    return await http.request("DELETE", ME, json={"password": password})


async def test_an_account_sees_itself(client: httpx.AsyncClient) -> None:
    shown = (await client.get(ME)).json()
    assert (shown["id"], shown["email"], shown["role"]) == (str(OWNER), EMAILS[OWNER], "user")
    assert "password_hash" not in shown


async def test_nobody_is_shown_without_a_credential(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get(ME)).status_code == 401


async def test_what_has_not_changed_is_not_sent_again(client: httpx.AsyncClient) -> None:
    tag = (await client.get(ME)).headers["etag"]
    again = await client.get(ME, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await client.patch(ME, json={"name": "Anna"})
    assert (await client.get(ME, headers={"If-None-Match": tag})).status_code == 200


async def test_a_name_is_changed_and_written_down(client: httpx.AsyncClient, sessions: Sessions) -> None:
    answer = await client.patch(ME, json={"name": "Anna"})
    assert (answer.status_code, answer.json()["name"]) == (200, "Anna")
    assert answer.headers["etag"] == (await client.get(ME)).headers["etag"]
    assert await events(sessions) == ["account.updated"]


async def test_nothing_is_written_down_where_nothing_changes(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    assert (await client.patch(ME, json={"name": ""})).status_code == 200
    assert await events(sessions) == []


async def test_a_change_of_what_was_changed_meanwhile_is_refused(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    tag = (await client.get(ME)).headers["etag"]
    assert (await client.patch(ME, json={"name": "One"}, headers={"If-Match": tag})).status_code == 200
    late = await client.patch(ME, json={"name": "Two"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["error"]["code"]) == (412, "precondition_failed")
    assert (await row(sessions)).name == "One"


async def test_one_of_two_changes_of_the_same_version_counts(client: httpx.AsyncClient) -> None:
    tag = (await client.get(ME)).headers["etag"]
    changes = (client.patch(ME, json={"name": f"{n}"}, headers={"If-Match": tag}) for n in range(4))
    assert sorted(answer.status_code for answer in await asyncio.gather(*changes)) == [200, 412, 412, 412]


@pytest.mark.parametrize("tag", ["*", "W/{tag}", '"other", {tag}'])
async def test_a_version_may_be_named_in_several_ways(client: httpx.AsyncClient, tag: str) -> None:
    given = tag.format(tag=(await client.get(ME)).headers["etag"])
    assert (await client.patch(ME, json={"name": "One"}, headers={"If-Match": given})).status_code == 200


@pytest.mark.parametrize(
    "given",
    [{"role": "admin"}, {"name": "a\x00"}, {"name": "x" * 201}, {"email": "x@example.org"}, {"email": "x"}],
)
async def test_what_cannot_be_changed_is_refused(client: httpx.AsyncClient, given: dict[str, str]) -> None:
    assert (await client.patch(ME, json=given)).status_code == 422


async def test_a_service_cannot_change_itself(anonymous: httpx.AsyncClient, settings: AppSettings) -> None:
    headers = bearer(settings, SERVICE)
    assert (await anonymous.get(ME, headers=headers)).status_code == 200
    assert (await anonymous.patch(ME, json={"name": "x"}, headers=headers)).status_code == 403
    deletion = await anonymous.request("DELETE", ME, json={"password": "x"}, headers=headers)
    assert deletion.status_code == 403


async def change_address(http: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    return await http.patch(ME, json={"email": email, "password": password})


async def test_another_address_counts_once_it_is_verified(
    client: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    answer = await change_address(client, "New@Example.org")
    assert (answer.json()["email"], answer.json()["pending_email"]) == (EMAILS[OWNER], "new@example.org")
    [letter] = await postbox.empty()
    assert letter.recipient == "new@example.org"
    assert (await client.post("/api/v1/auth/verify-email", json={"token": letter.link})).status_code == 204
    after = await row(sessions)
    assert (after.email, after.pending_email) == ("new@example.org", None)
    [notice] = await postbox.empty()
    assert notice.recipient == EMAILS[OWNER], "the address before is told"
    assert await events(sessions) == ["account.updated", "account.email_changed"]


async def test_another_address_needs_the_password(client: httpx.AsyncClient, sessions: Sessions) -> None:
    answer = await change_address(client, "new@example.org", "a wrong password")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_password")
    assert (await row(sessions)).pending_email is None


async def test_a_link_for_an_address_that_was_replaced_is_void(
    client: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    await change_address(client, "one@example.org")
    token = await postbox.token()
    await change_address(client, "two@example.org")
    assert (await client.post("/api/v1/auth/verify-email", json={"token": token})).status_code == 400
    assert (await row(sessions)).email == EMAILS[OWNER]


async def test_a_pending_change_is_taken_back_by_the_present_address(client: httpx.AsyncClient) -> None:
    await change_address(client, "new@example.org")
    assert (await change_address(client, EMAILS[OWNER])).json()["pending_email"] is None


async def test_an_address_of_another_account_is_told_in_a_mail_to_it_alone(
    client: httpx.AsyncClient, postbox: Postbox
) -> None:
    answer = await change_address(client, EMAILS[OTHER])
    assert (answer.status_code, answer.json()["pending_email"]) == (200, EMAILS[OTHER])
    [letter] = await postbox.empty()
    assert (letter.recipient, letter.link) == (EMAILS[OTHER], None)


async def test_an_address_that_was_registered_meanwhile_stays_the_others(
    client: httpx.AsyncClient, sessions: Sessions, postbox: Postbox
) -> None:
    await change_address(client, "new@example.org")
    token = await postbox.token()
    async with transaction(sessions) as session:
        session.add(User(email="new@example.org"))
    assert (await client.post("/api/v1/auth/verify-email", json={"token": token})).status_code == 409
    assert (await row(sessions)).email == EMAILS[OWNER]


async def test_a_deleted_account_has_ended_at_once(client: httpx.AsyncClient, sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        session.add(ApiKey(user_id=OWNER, name="k", prefix="hfk_x", key_hash="0" * 64, scopes=[]))
    assert (await delete(client)).status_code == 202
    assert (await client.get(ME)).status_code == 401
    after = await row(sessions)
    assert (after.email, after.password_hash, after.name) == (released_address(OWNER), None, "")
    assert after.deleted_at is not None
    async with sessions() as session:
        [ended] = await session.scalars(select(Session).where(Session.user_id == OWNER))
        [key] = await session.scalars(select(ApiKey))
        [job] = await session.scalars(select(Job).where(Job.kind == DELETE))
    assert (ended.revoked_reason, key.revoked_at is not None) == ("deleted", True)
    assert (job.owner_id, job.args) == (SYSTEM_OWNER, {"user_id": str(OWNER)})
    assert await events(sessions) == ["account.deletion_asked"]


async def test_a_deleted_accounts_address_is_free(client: httpx.AsyncClient, sessions: Sessions) -> None:
    await delete(client)
    await client.post("/api/v1/auth/register", json={"email": EMAILS[OWNER]})
    assert "account.registered" in await events(sessions)


async def test_to_delete_takes_the_password(client: httpx.AsyncClient, sessions: Sessions) -> None:
    answer = await delete(client, "a wrong password")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_password")
    assert (await row(sessions)).deleted_at is None
    assert (await client.request("DELETE", ME, json={})).status_code == 422


async def test_the_last_administrator_stays(admin_client: httpx.AsyncClient, sessions: Sessions) -> None:
    answer = await delete(admin_client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert (await row(sessions, ADMIN)).deleted_at is None
    async with transaction(sessions) as session:
        await session.execute(update(User).where(User.id == OTHER).values(role="admin"))
    assert (await delete(admin_client)).status_code == 202


async def ready(sessions: Sessions, settings: AppSettings, export_id: str, data: bytes = b"a zip") -> None:
    stored = await Workspace.from_settings(settings).keep(data)
    async with transaction(sessions) as session:
        export = await session.get_one(DataExport, uuid.UUID(export_id))
        export.object_key, export.size = stored.key, stored.size


async def test_an_export_is_a_job_of_the_account(client: httpx.AsyncClient, sessions: Sessions) -> None:
    answer = await client.post(f"{ME}/exports")
    export = answer.json()
    assert (answer.status_code, export["state"], export["size"]) == (202, "pending", None)
    assert answer.headers["location"] == f"{ME}/exports/{export['id']}"
    [job] = (await client.get("/api/v1/jobs")).json()["items"]
    assert (job["id"], job["kind"]) == (export["job_id"], EXPORT)
    assert await events(sessions) == ["account.export_asked"]


async def test_exports_are_listed_newest_first(client: httpx.AsyncClient, sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        later = datetime.now(UTC) + timedelta(days=1)
        session.add_all([DataExport(user_id=user, expires_at=later) for user in (OWNER, OWNER, OTHER)])
    listed = (await client.get(f"{ME}/exports")).json()
    ids = [item["id"] for item in listed["items"]]
    assert (listed["total"], ids) == (2, sorted(ids, reverse=True))
    assert (await client.get(f"{ME}/exports/{ids[0]}")).json() == listed["items"][0]


async def test_one_export_is_made_at_a_time(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post(f"{ME}/exports") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]


async def test_an_export_that_is_ready_can_be_downloaded(
    client: httpx.AsyncClient, settings: AppSettings, sessions: Sessions
) -> None:
    export = (await client.post(f"{ME}/exports")).json()
    early = await client.get(f"{ME}/exports/{export['id']}/content")
    assert (early.status_code, early.json()["error"]["details"]) == (409, {"state": "pending"})
    await ready(sessions, settings, export["id"])
    answer = await client.get(f"{ME}/exports/{export['id']}/content")
    assert (answer.status_code, answer.content) == (200, b"a zip")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment")
    part = await client.get(f"{ME}/exports/{export['id']}/content", headers={"Range": "bytes=2-"})
    assert (part.status_code, part.content) == (206, b"zip")
    assert (await client.get(f"{ME}/exports/{export['id']}")).json()["state"] == "ready"


async def test_an_expired_export_is_gone(
    client: httpx.AsyncClient, settings: AppSettings, sessions: Sessions
) -> None:
    export = (await client.post(f"{ME}/exports")).json()
    await ready(sessions, settings, export["id"])
    async with transaction(sessions) as session:
        await session.execute(update(DataExport).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    answer = await client.get(f"{ME}/exports/{export['id']}/content")
    assert answer.status_code == 404
    assert "expired" in answer.json()["error"]["message"]
    assert (await client.get(f"{ME}/exports/{export['id']}")).json()["state"] == "expired"


@pytest.mark.parametrize(
    ("state", "error"),
    [(JobState.CANCELLED, "The export was cancelled."), (JobState.FAILED, "The disk is full.")],
)
async def test_an_export_that_was_not_made_says_why(
    client: httpx.AsyncClient, sessions: Sessions, state: JobState, error: str
) -> None:
    export = (await client.post(f"{ME}/exports")).json()
    told = {"code": "job_failed", "message": error} if state is JobState.FAILED else None
    async with transaction(sessions) as session:
        ended = update(Job).where(Job.id == uuid.UUID(export["job_id"]))
        await session.execute(ended.values(state=state, error=told, finished_at=datetime.now(UTC)))
    shown = (await client.get(f"{ME}/exports/{export['id']}")).json()
    assert (shown["state"], shown["error"]) == ("failed", error)
    content = await client.get(f"{ME}/exports/{export['id']}/content")
    assert (content.status_code, content.json()["error"]["message"]) == (409, error)


@pytest.mark.parametrize("path", ["", "/content"])
async def test_anothers_export_is_not_there(
    client: httpx.AsyncClient, other_client: httpx.AsyncClient, path: str
) -> None:
    export = (await client.post(f"{ME}/exports")).json()
    assert (await other_client.get(f"{ME}/exports/{export['id']}{path}")).status_code == 404
