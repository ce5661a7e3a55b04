"""The storage as an administrator sees it."""

import httpx
import pytest

from app.core.database import Sessions, transaction
from app.models.job import JobState
from app.services.media import usage
from tests.accounts import OTHER, OWNER
from tests.services.media.files import media
from tests.services.media.sweeps import ended, lost, sweep, whole

STORAGE = "/api/v1/admin/storage"


async def test_an_empty_storage_has_no_report(admin_client: httpx.AsyncClient) -> None:
    answer = await admin_client.get(STORAGE)
    assert answer.json() == {"kind": "folder", "files": 0, "bytes": 0, "largest": [], "report": None}


async def test_the_largest_accounts_come_first(admin_client: httpx.AsyncClient, sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        session.add_all([media("1" * 64, size=5), media("1" * 64, size=5)])
        session.add(media("2" * 64, size=2**40, owner_id=OTHER))
    body = (await admin_client.get(STORAGE)).json()
    assert (body["files"], body["bytes"]) == (3, 2**40 + 10)
    assert body["largest"] == [
        {"files": 1, "bytes": 2**40, "user_id": str(OTHER), "email": "other@example.com"},
        {"files": 2, "bytes": 10, "user_id": str(OWNER), "email": "owner@example.com"},
    ]


async def test_only_the_largest_accounts_are_named(
    admin_client: httpx.AsyncClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with transaction(sessions) as session:
        session.add_all([media("1" * 64), media("1" * 64, owner_id=OTHER)])
    monkeypatch.setattr(usage, "LARGEST", 1)
    assert len((await admin_client.get(STORAGE)).json()["largest"]) == 1


async def test_the_last_sweep_that_ended_well_is_reported(
    admin_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await sweep(sessions, whole())
    report = lost()
    await sweep(sessions, report)
    await ended(sessions, JobState.FAILED, None)
    shown = report.model_dump(mode="json")
    assert (await admin_client.get(STORAGE)).json()["report"] == shown
    assert (await admin_client.get("/health/detailed")).json()["storage"] == shown


async def test_a_report_of_an_older_version_is_none(
    admin_client: httpx.AsyncClient, sessions: Sessions
) -> None:
    await ended(sessions, JobState.SUCCEEDED, {"removed": 1})
    assert (await admin_client.get(STORAGE)).json()["report"] is None
    assert (await admin_client.get("/health/detailed")).json()["storage"] is None


async def test_it_is_for_administrators(client: httpx.AsyncClient) -> None:
    assert (await client.get(STORAGE)).status_code == 403
