"""The routes of administrators."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.services.auth.passwords import Passwords
from app.services.users import BUILT_IN_OWNER, SYSTEM_OWNER
from tests.accounts import ADMIN, EMAILS, OTHER, OWNER, SERVICE, bearer

USERS = "/api/v1/admin/users"
AUDIT = "/api/v1/admin/audit"
JOBS = "/api/v1/jobs"
KEY = {"name": "x", "scopes": ["jobs:read"]}


async def execute(sessions: Sessions, statement: str, **values: object) -> None:
    async with transaction(sessions) as session:
        await session.execute(text(statement), values)


async def events(sessions: Sessions) -> list[tuple[Any, ...]]:
    async with transaction(sessions) as session:
        rows = await session.execute(
            text("SELECT event, user_id, actor_id FROM audit_log ORDER BY created_at, id")
        )
        return [tuple(row) for row in rows]


async def emails(client: httpx.AsyncClient, **params: str) -> list[str]:
    answer = await client.get(USERS, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == len(answer.json()["items"])
    return [item["email"] for item in answer.json()["items"]]


async def make_key(admin_client: httpx.AsyncClient, *scopes: str) -> dict[str, str]:
    answer = await admin_client.post("/api/v1/api-keys", json={"name": "x", "scopes": scopes})
    return {"X-API-Key": answer.json()["key"]}


@pytest.mark.parametrize("path", [USERS, AUDIT, f"{USERS}/{OWNER}", f"{USERS}/{SERVICE}/api-keys"])
async def test_others_than_administrators_see_nothing(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 403


async def test_accounts_are_listed_without_those_that_are_nobodys(
    admin_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await execute(
        sessions, "INSERT INTO users (id, email) VALUES (:id, 'owner@localhost')", id=BUILT_IN_OWNER
    )
    assert sorted(await emails(admin_client)) == sorted(EMAILS.values())


@pytest.mark.parametrize("user_id", [SYSTEM_OWNER, BUILT_IN_OWNER, uuid.uuid4()])
async def test_what_is_nobodys_account_is_not_found(
    admin_client: httpx.AsyncClient, sessions: Sessions, user_id: uuid.UUID
) -> None:
    await execute(
        sessions, "INSERT INTO users (id, email) VALUES (:id, 'owner@localhost')", id=BUILT_IN_OWNER
    )
    path = f"{USERS}/{user_id}"
    answers = [
        await admin_client.get(path),
        await admin_client.patch(path, json={"name": "x"}),
        await admin_client.post(f"{path}/api-keys", json=KEY),
        await admin_client.get(f"{path}/api-keys"),
        await admin_client.delete(f"{path}/api-keys/{uuid.uuid4()}"),
        await admin_client.post(f"{path}/sessions/revoke"),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)


async def test_accounts_are_filtered_searched_and_sorted(
    admin_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await execute(sessions, "UPDATE users SET name = '50%_Off /x' WHERE id = :id", id=OTHER)
    await execute(sessions, "UPDATE users SET disabled_at = now() WHERE id = :id", id=OWNER)
    await execute(sessions, "UPDATE users SET deleted_at = now() WHERE id = :id", id=SERVICE)
    everyone = sorted(EMAILS.values())
    for params, found in [
        ({"role": "admin"}, [EMAILS[ADMIN]]),
        ({"status": "disabled"}, [EMAILS[OWNER]]),
        ({"status": "deleted"}, [EMAILS[SERVICE]]),
        ({"status": "active", "sort": "email"}, [EMAILS[ADMIN], EMAILS[OTHER]]),
        ({"sort": "email"}, everyone),
        ({"sort": "-email"}, everyone[::-1]),
        ({"sort": "created_at"}, list(EMAILS.values())),
        ({"sort": "-created_at"}, list(EMAILS.values())[::-1]),
        ({"q": "OWNER@"}, [EMAILS[OWNER]]),
        ({"q": "%_off /"}, [EMAILS[OTHER]]),
        ({"q": "5_%"}, []),
    ]:
        assert await emails(admin_client, **params) == found, params


@pytest.mark.parametrize("params", [{"q": "a\0"}, {"sort": "name"}, {"role": "root"}, {"status": "away"}])
async def test_a_faulty_filter_is_refused(admin_client: httpx.AsyncClient, params: dict[str, str]) -> None:
    assert (await admin_client.get(USERS, params=params)).status_code == 422


async def test_one_account_is_shown_without_its_secrets(admin_client: httpx.AsyncClient) -> None:
    body = (await admin_client.get(f"{USERS}/{OWNER}")).json()
    assert (body["email"], body["role"], body["status"]) == (EMAILS[OWNER], "user", "active")
    assert not [name for name in body if "hash" in name]


@pytest.mark.parametrize("role", ["user", "admin"])
async def test_a_new_account_has_a_one_time_password(
    admin_client: httpx.AsyncClient, sessions: Sessions, settings: AppSettings, role: str
) -> None:
    answer = await admin_client.post(USERS, json={"email": "New@Example.org", "name": "N", "role": role})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["email"], body["role"], body["password_change_required"]) == ("new@example.org", role, True)
    async with transaction(sessions) as session:
        found = await session.execute(
            text("SELECT password_hash, email_verified_at FROM users WHERE email = 'new@example.org'")
        )
        stored, verified = found.one()
        logged = (await session.execute(text("SELECT string_agg(a::text, '') FROM audit_log a"))).scalar_one()
    assert (await Passwords(settings.auth).verify(body["one_time_password"], stored))[0]
    assert verified is not None
    assert body["one_time_password"] not in logged
    shown = (await admin_client.get(f"{USERS}/{body['id']}")).json()
    assert shown == {name: value for name, value in body.items() if name != "one_time_password"}


async def test_a_new_service_has_no_password(admin_client: httpx.AsyncClient, sessions: Sessions) -> None:
    body = (await admin_client.post(USERS, json={"email": "s@example.org", "role": "service"})).json()
    assert (body["one_time_password"], body["password_change_required"]) == (None, False)
    async with transaction(sessions) as session:
        found = await session.execute(text("SELECT password_hash FROM users WHERE email = 's@example.org'"))
    assert found.scalar_one() is None


async def test_an_address_has_one_account_however_many_are_made_at_once(
    admin_client: httpx.AsyncClient,
) -> None:
    asked = {"email": "New@example.org"}
    answers = await asyncio.gather(*(admin_client.post(USERS, json=asked) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]


async def test_an_api_key_makes_no_administrator_and_no_key(
    admin_client: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    headers = await make_key(admin_client, "users:admin")
    asked = {"email": "new@example.org", "role": "admin"}
    assert (await anonymous.post(USERS, json=asked, headers=headers)).status_code == 403
    promoted = await anonymous.patch(f"{USERS}/{OWNER}", json={"role": "admin"}, headers=headers)
    assert promoted.status_code == 403
    key = await anonymous.post(f"{USERS}/{SERVICE}/api-keys", json=KEY, headers=headers)
    assert key.status_code == 403
    renamed = await anonymous.patch(f"{USERS}/{OWNER}", json={"name": "N"}, headers=headers)
    assert renamed.status_code == 200


async def test_a_role_changes_what_a_login_may_do_at_once(
    admin_client: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    assert (await client.get(USERS)).status_code == 403
    answer = await admin_client.patch(f"{USERS}/{OWNER}", json={"role": "admin"})
    assert (answer.status_code, answer.json()["role"]) == (200, "admin")
    assert (await client.get(USERS)).status_code == 200
    await admin_client.patch(f"{USERS}/{OWNER}", json={"role": "user"})
    assert (await client.get(USERS)).status_code == 403


async def test_a_disabled_account_is_out_at_once_and_stays_logged_out(
    admin_client: httpx.AsyncClient, client: httpx.AsyncClient, sessions: Sessions
) -> None:
    assert (await client.get(JOBS)).status_code == 200
    answer = await admin_client.patch(f"{USERS}/{OWNER}", json={"disabled": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "disabled")
    assert (await client.get(JOBS)).status_code == 401
    enabled = await admin_client.patch(f"{USERS}/{OWNER}", json={"disabled": False})
    assert enabled.json()["status"] == "active"
    assert (await client.get(JOBS)).status_code == 401
    changed = [event for event in await events(sessions) if event[1] == OWNER]
    assert changed == [("account.disabled", OWNER, ADMIN), ("account.enabled", OWNER, ADMIN)]


async def test_what_does_not_change_is_not_written_down(
    admin_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    same = {"role": "user", "disabled": False, "name": ""}
    assert (await admin_client.patch(f"{USERS}/{OWNER}", json=same)).status_code == 200
    assert await events(sessions) == []


async def test_changes_are_written_down_with_who_made_them(
    admin_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await admin_client.patch(f"{USERS}/{OWNER}", json={"role": "admin", "name": "N"})
    assert await events(sessions) == [
        ("account.updated", OWNER, ADMIN),
        ("account.role_changed", OWNER, ADMIN),
    ]


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}])
async def test_the_last_administrator_stays(
    admin_client: httpx.AsyncClient, sessions: Sessions, change: dict[str, object]
) -> None:
    # Who is shut out, or being deleted, administrates nothing.
    await execute(sessions, "UPDATE users SET role = 'admin', disabled_at = now() WHERE id = :id", id=OWNER)
    await execute(sessions, "UPDATE users SET role = 'admin', deleted_at = now() WHERE id = :id", id=OTHER)
    answer = await admin_client.patch(f"{USERS}/{ADMIN}", json=change)
    assert answer.status_code == 409
    assert "last administrator" in answer.json()["error"]["message"]
    assert (await admin_client.get(USERS)).status_code == 200


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}])
async def test_administrators_who_demote_each_other_at_once_leave_one(
    anonymous: httpx.AsyncClient, sessions: Sessions, settings: AppSettings, change: dict[str, object]
) -> None:
    admins = [OWNER, OTHER, ADMIN]
    for round_number in range(4):
        await execute(sessions, "UPDATE users SET role = 'admin', disabled_at = NULL WHERE role <> 'service'")
        await execute(
            sessions, "UPDATE sessions SET revoked_at = NULL, expires_at = now() + interval '1 day'"
        )
        await asyncio.gather(
            *(
                anonymous.patch(f"{USERS}/{other}", json=change, headers=bearer(settings, one))
                for one, other in zip(admins, admins[1:] + admins[:1], strict=True)
            )
        )
        async with transaction(sessions) as session:
            left = await session.execute(
                text("SELECT count(*) FROM users WHERE role = 'admin' AND disabled_at IS NULL")
            )
        assert left.scalar_one() >= 1, round_number


@pytest.mark.parametrize("role", ["user", "admin"])
async def test_a_service_stays_one(admin_client: httpx.AsyncClient, role: str) -> None:
    answer = await admin_client.patch(f"{USERS}/{SERVICE}", json={"role": role})
    assert answer.status_code == 409


async def test_nobody_becomes_a_service(admin_client: httpx.AsyncClient) -> None:
    assert (await admin_client.patch(f"{USERS}/{OWNER}", json={"role": "service"})).status_code == 422


async def test_an_account_that_is_being_deleted_does_not_change(
    admin_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await execute(sessions, "UPDATE users SET deleted_at = now() WHERE id = :id", id=OWNER)
    assert (await admin_client.patch(f"{USERS}/{OWNER}", json={"name": "x"})).status_code == 409


async def test_an_administrator_logs_somebody_out_everywhere(
    admin_client: httpx.AsyncClient, client: httpx.AsyncClient, sessions: Sessions
) -> None:
    assert (await client.get(JOBS)).status_code == 200
    assert (await admin_client.post(f"{USERS}/{OWNER}/sessions/revoke")).status_code == 204
    assert (await client.get(JOBS)).status_code == 401
    assert (await admin_client.get(JOBS)).status_code == 200
    assert await events(sessions) == [("session.all_revoked", OWNER, ADMIN)]


async def test_a_service_works_with_the_key_that_an_administrator_made(
    admin_client: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    path = f"{USERS}/{SERVICE}/api-keys"
    made = await admin_client.post(path, json=KEY)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    headers = {"X-API-Key": made.json()["key"]}
    assert (await anonymous.get(JOBS, headers=headers)).status_code == 200
    listed = (await admin_client.get(path)).json()["items"]
    assert [(item["id"], "key" in item) for item in listed] == [(made.json()["id"], False)]
    assert (await admin_client.delete(f"{path}/{made.json()['id']}")).status_code == 204
    assert (await anonymous.get(JOBS, headers=headers)).status_code == 401


async def test_a_key_is_revoked_at_its_own_account_only(admin_client: httpx.AsyncClient) -> None:
    made = (await admin_client.post(f"{USERS}/{SERVICE}/api-keys", json=KEY)).json()
    assert (await admin_client.delete(f"{USERS}/{OWNER}/api-keys/{made['id']}")).status_code == 404


async def test_nobody_makes_keys_that_act_for_a_person(admin_client: httpx.AsyncClient) -> None:
    assert (await admin_client.post(f"{USERS}/{OWNER}/api-keys", json=KEY)).status_code == 409


async def test_a_disabled_service_gets_no_key(admin_client: httpx.AsyncClient) -> None:
    await admin_client.patch(f"{USERS}/{SERVICE}", json={"disabled": True})
    assert (await admin_client.post(f"{USERS}/{SERVICE}/api-keys", json=KEY)).status_code == 404


async def fill(sessions: Sessions, count: int) -> None:
    await execute(
        sessions,
        "INSERT INTO audit_log (id, event, user_id, created_at) "
        "SELECT gen_random_uuid(), CASE n % 2 WHEN 0 THEN 'even' ELSE 'odd' END, CASE n % 2 WHEN 0 THEN "
        "CAST(:id AS uuid) END, timestamptz '2026-01-01 00:00Z' + n / 2 * interval '1 hour' "
        "FROM generate_series(0, :count - 1) n",
        id=OWNER,
        count=count,
    )


async def read(client: httpx.AsyncClient, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        body = (await client.get(AUDIT, params=params)).json()
        found += body["items"]
        if body["next"] is None:
            return found
        params["cursor"] = body["next"]


async def test_the_log_is_read_newest_first_part_by_part_without_gap_or_repetition(
    admin_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await fill(sessions, 11)
    whole = await read(admin_client, limit="100")
    parts = await read(admin_client, limit="3")
    assert parts == whole
    moments = [event["created_at"] for event in whole]
    assert moments == sorted(moments, reverse=True)
    assert len({event["id"] for event in whole}) == 11


async def test_the_log_is_filtered(admin_client: httpx.AsyncClient, sessions: Sessions) -> None:
    await fill(sessions, 11)
    assert len(await read(admin_client, event="odd", limit="2")) == 5
    assert len(await read(admin_client, user_id=str(OWNER), limit="2")) == 6
    within = await read(admin_client, **{"from": "2026-01-01T01:00:00Z", "to": "2026-01-01T04:00:00+01:00"})
    assert [event["created_at"] for event in within] == [
        "2026-01-01T02:00:00Z",
        "2026-01-01T02:00:00Z",
        "2026-01-01T01:00:00Z",
        "2026-01-01T01:00:00Z",
    ]


async def test_a_cursor_that_nobody_gave_is_refused(admin_client: httpx.AsyncClient) -> None:
    assert (await admin_client.get(AUDIT, params={"cursor": str(uuid.uuid4())})).status_code == 404


@pytest.mark.parametrize("params", [{"from": "yesterday"}, {"to": "2026-01-01T00:00:00"}, {"event": "a\0"}])
async def test_a_faulty_filter_of_the_log_is_refused(
    admin_client: httpx.AsyncClient, params: dict[str, str]
) -> None:
    assert (await admin_client.get(AUDIT, params=params)).status_code == 422


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_the_ends_of_time_are_moments_too(admin_client: httpx.AsyncClient, moment: str) -> None:
    assert (await admin_client.get(AUDIT, params={"from": moment})).status_code == 200


async def test_no_route_changes_the_log(admin_client: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await admin_client.request(method, AUDIT)).status_code == 405
