"""The routes of API keys."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import digest
from app.services.auth.api_keys import MOST_KEYS
from app.services.auth.gate import KEY_LENGTH, KEY_PREFIX
from tests.accounts import ADMIN, OWNER, bearer

KEYS = "/api/v1/api-keys"
JOBS = "/api/v1/jobs"
ACCOUNTS = "/api/v1/admin/users"


async def make(client: httpx.AsyncClient, *scopes: str, **given: Any) -> dict[str, Any]:
    answer = await client.post(KEYS, json={"name": "import", "scopes": scopes or ("jobs:read",)} | given)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def opens(anonymous: httpx.AsyncClient, key: str, path: str = JOBS) -> int:
    return (await anonymous.get(path, headers={"X-API-Key": key})).status_code


async def execute(sessions: Sessions, statement: str, **values: object) -> None:
    async with transaction(sessions) as session:
        await session.execute(text(statement), values)


async def test_a_key_opens_what_its_scopes_name(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    key = (await make(client, "jobs:read"))["key"]
    assert await opens(anonymous, key) == 200
    assert await opens(anonymous, key, "/api/v1/media") == 403


async def test_a_key_is_a_bearer_token_too(client: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    key = (await make(client))["key"]
    answer = await anonymous.get(JOBS, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200


async def test_a_new_key_is_long_random_and_not_to_be_stored(client: httpx.AsyncClient) -> None:
    answer = await client.post(KEYS, json={"name": "x", "scopes": ["jobs:read"]})
    key = answer.json()["key"]
    assert (len(key), key[:4]) == (KEY_LENGTH, KEY_PREFIX)
    assert key.startswith(answer.json()["prefix"])
    assert answer.headers["cache-control"] == "no-store"


async def test_only_the_digest_of_a_key_is_kept(client: httpx.AsyncClient, sessions: Sessions) -> None:
    key = (await make(client))["key"]
    async with transaction(sessions) as session:
        rows = (await session.execute(text("SELECT api_keys::text, key_hash FROM api_keys"))).one()
        logged = (await session.execute(text("SELECT string_agg(a::text, '') FROM audit_log a"))).scalar_one()
    assert key not in rows[0]
    assert rows[1] == digest(key)
    assert key not in logged


async def test_a_key_is_shown_once(client: httpx.AsyncClient) -> None:
    made = await make(client)
    listed = (await client.get(KEYS)).json()
    assert listed["items"][0] == {name: value for name, value in made.items() if name != "key"}
    one = (await client.get(f"{KEYS}/{made['id']}")).json()
    assert one == listed["items"][0]


async def test_keys_are_listed_newest_first_in_pages(client: httpx.AsyncClient) -> None:
    ids = [(await make(client))["id"] for _ in range(3)]
    body = (await client.get(KEYS, params={"page_size": 2})).json()
    assert [item["id"] for item in body["items"]] == ids[:0:-1]
    assert body["total"] == 3


async def test_the_last_use_of_a_key_is_told(client: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    made = await make(client)
    assert made["last_used_at"] is None
    await opens(anonymous, made["key"])
    assert (await client.get(f"{KEYS}/{made['id']}")).json()["last_used_at"] is not None


async def test_a_revoked_key_opens_nothing_at_once(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make(client)
    assert await opens(anonymous, made["key"]) == 200
    for _ in range(2):
        assert (await client.delete(f"{KEYS}/{made['id']}")).status_code == 204
    assert await opens(anonymous, made["key"]) == 401
    shown = (await client.get(f"{KEYS}/{made['id']}")).json()
    assert shown["revoked_at"] == shown["expires_at"] is not None


async def test_an_expired_key_opens_nothing(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    made = await make(client, expires_in_days=1)
    await execute(sessions, "UPDATE api_keys SET expires_at = expires_at - interval '1 day'")
    assert await opens(anonymous, made["key"]) == 401


@pytest.mark.parametrize(
    "change",
    [
        {"expires_in_days": 366},
        {"expires_in_days": 0},
        {"scopes": []},
        {"name": ""},
        {"name": "a\0b"},
        {"x": 1},
    ],
)
async def test_what_a_key_may_not_be_is_refused(client: httpx.AsyncClient, change: dict[str, Any]) -> None:
    answer = await client.post(KEYS, json={"name": "x", "scopes": ["jobs:read"]} | change)
    assert answer.status_code == 422


@pytest.mark.parametrize("scope", ["users:admin", "account:write", "no:such"])
async def test_a_key_gets_no_scope_that_its_role_may_not_give(client: httpx.AsyncClient, scope: str) -> None:
    answer = await client.post(KEYS, json={"name": "x", "scopes": ["jobs:read", scope]})
    assert answer.status_code == 403
    assert answer.json()["error"]["details"]["refused_scopes"] == [scope]


async def test_a_key_cannot_make_or_revoke_keys(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make(client, "account:read", "jobs:read", "jobs:write", "media:read", "media:write")
    headers = {"X-API-Key": made["key"]}
    asked = {"name": "x", "scopes": ["jobs:read"]}
    assert (await anonymous.post(KEYS, json=asked, headers=headers)).status_code == 403
    assert (await anonymous.delete(f"{KEYS}/{made['id']}", headers=headers)).status_code == 403


async def test_anothers_key_is_not_found(client: httpx.AsyncClient, other_client: httpx.AsyncClient) -> None:
    made = await make(client)
    path = f"{KEYS}/{made['id']}"
    assert (await other_client.get(path)).status_code == 404
    assert (await other_client.delete(path)).status_code == 404
    assert (await other_client.get(KEYS)).json()["total"] == 0
    assert (await client.get(path)).json()["revoked_at"] is None


async def test_an_account_has_a_bounded_number_of_keys_however_many_are_asked_for_at_once(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await execute(
        sessions,
        "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes) "
        "SELECT gen_random_uuid(), :id, 'x', 'x', n::text, '{}' FROM generate_series(1, :n) n",
        id=OWNER, n=MOST_KEYS - 1,
    )  # fmt: skip
    asked = {"name": "x", "scopes": ["jobs:read"]}
    answers = await asyncio.gather(*(client.post(KEYS, json=asked) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_who_still_has_a_one_time_password_makes_no_key(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await execute(sessions, "UPDATE users SET password_change_required = true WHERE id = :id", id=OWNER)
    answer = await client.post(KEYS, json={"name": "x", "scopes": ["jobs:read"]})
    assert answer.status_code == 403
    assert "one-time password" in answer.json()["error"]["message"]


async def test_a_key_loses_what_its_accounts_role_loses(
    anonymous: httpx.AsyncClient, admin_client: httpx.AsyncClient, sessions: Sessions, settings: AppSettings
) -> None:
    key = (await make(admin_client, "users:admin", "jobs:read"))["key"]
    assert await opens(anonymous, key, ACCOUNTS) == 200
    await execute(sessions, "UPDATE users SET role = 'admin' WHERE id = :id", id=OWNER)
    answer = await anonymous.patch(
        f"{ACCOUNTS}/{ADMIN}", json={"role": "user"}, headers=bearer(settings, OWNER)
    )
    assert answer.status_code == 200
    assert await opens(anonymous, key, ACCOUNTS) == 403
    assert await opens(anonymous, key) == 200


async def test_making_and_revoking_are_written_down(client: httpx.AsyncClient, sessions: Sessions) -> None:
    made = await make(client)
    await client.delete(f"{KEYS}/{made['id']}")
    async with transaction(sessions) as session:
        rows = await session.execute(
            text("SELECT event, user_id, actor_id, details ->> 'key_id' FROM audit_log ORDER BY created_at")
        )
    assert [tuple(row) for row in rows] == [
        ("api_key.created", OWNER, OWNER, made["id"]),
        ("api_key.revoked", OWNER, OWNER, made["id"]),
    ]


async def test_an_unknown_key_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{KEYS}/{uuid.uuid4()}")).status_code == 404
