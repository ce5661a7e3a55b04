"""The ZIP file of all that belongs to an account."""

import gc
import io
import json
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions, transaction
from app.exceptions.base import ServiceUnavailableException
from app.models.audit_event import AuditEvent
from app.models.job import Job
from app.models.user import User
from app.services.accounts import archive
from app.services.accounts.archive import Reading, make
from app.services.workspace import Workspace
from tests.accounts import ADMIN, EMAILS, OTHER, OWNER
from tests.services.accounts.belongings import give, media

JSON_FILES = ["account", "sessions", "api_keys", "jobs", "media", "audit"]


@pytest.fixture
def reading(sessions: Sessions) -> Reading:
    @asynccontextmanager
    async def read() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    return read


async def ignore(_share: float, _word: str | None) -> None:
    return


async def opened(workspace: Workspace, reading: Reading) -> zipfile.ZipFile:
    stored = await make(workspace, reading, OWNER, ignore)
    data = workspace.path(stored.key).read_bytes()
    assert len(data) == stored.size
    found = zipfile.ZipFile(io.BytesIO(data))
    assert found.testzip() is None
    return found


async def test_it_holds_every_kind_of_row_and_every_file(
    sessions: Sessions, workspace: Workspace, reading: Reading
) -> None:
    await give(sessions, workspace, OWNER, "mine")
    found = await opened(workspace, reading)
    rows = {name: json.loads(found.read(f"{name}.json")) for name in JSON_FILES}
    assert {name: len(items) for name, items in rows.items()} == dict.fromkeys(JSON_FILES, 1)
    assert rows["account"][0]["email"] == EMAILS[OWNER]
    assert rows["audit"][0]["address"] == "192.0.2.1"
    [file] = [name for name in found.namelist() if not name.endswith(".json")]
    assert file == f"media/{rows['media'][0]['id']}/a.mp4"
    assert found.read(file) == b"mine file"


async def test_it_holds_nothing_of_others(sessions: Sessions, workspace: Workspace, reading: Reading) -> None:
    await give(sessions, workspace, OTHER, "other")
    found = await opened(workspace, reading)
    text = b"".join(found.read(name) for name in found.namelist())
    assert str(OTHER).encode() not in text
    assert b"other" not in text
    assert [name for name in found.namelist() if name.startswith("media/")] == []


async def test_it_holds_no_hash_of_a_secret(
    sessions: Sessions, workspace: Workspace, reading: Reading
) -> None:
    async with transaction(sessions) as session:
        (await session.get_one(User, OWNER)).password_hash = "$argon2id$planted"
    keys = await give(sessions, workspace, OWNER, "mine")
    found = await opened(workspace, reading)
    rest = b"".join(found.read(f"{name}.json") for name in JSON_FILES if name != "media")
    assert b"argon2" not in rest
    assert keys[0].encode() not in rest
    assert b"0" * 64 not in rest


async def test_where_an_administrator_sat_is_not_the_accounts_to_know(
    sessions: Sessions, workspace: Workspace, reading: Reading
) -> None:
    async with transaction(sessions) as session:
        session.add(AuditEvent(event="account.disabled", user_id=OWNER, actor_id=ADMIN, address="192.0.2.9"))
        session.add(AuditEvent(event="login.failed", user_id=OWNER, address="192.0.2.8"))
    events = json.loads((await opened(workspace, reading)).read("audit.json"))
    assert {event["event"]: event["address"] for event in events} == {
        "account.disabled": None,
        "login.failed": "192.0.2.8",
    }
    assert str(ADMIN) not in str(events)


async def test_any_number_of_rows_is_read(
    sessions: Sessions, workspace: Workspace, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PAGE", 3)
    async with transaction(sessions) as session:
        session.add_all(
            [Job(owner_id=OWNER, kind="k", queue="default", args={"number": number}) for number in range(9)]
        )
    jobs = json.loads((await opened(workspace, reading)).read("jobs.json"))
    assert [job["args"]["number"] for job in jobs] == list(range(9))


async def test_an_empty_table_is_an_empty_list(workspace: Workspace, reading: Reading) -> None:
    assert json.loads((await opened(workspace, reading)).read("media.json")) == []


async def test_a_large_file_is_never_whole_in_memory(
    sessions: Sessions, workspace: Workspace, reading: Reading
) -> None:
    size = 64 * 1024 * 1024
    stored = await workspace.keep(bytes(size))
    async with transaction(sessions) as session:
        session.add(media(OWNER, stored.key, size=size))
    tracemalloc.start()
    try:
        made = await make(workspace, reading, OWNER, ignore)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.size > size
    assert peak < size / 4


async def test_a_file_that_cannot_be_read_leaves_no_export_without_it(
    sessions: Sessions, workspace: Workspace, reading: Reading
) -> None:
    async with transaction(sessions) as session:
        session.add(media(OWNER, "0" * 64))
    with pytest.raises(ServiceUnavailableException):
        await make(workspace, reading, OWNER, ignore)
    # What it still held would speak up here, and be an error of this test.
    gc.collect()
    assert list(workspace.uploads.iterdir()) == []
