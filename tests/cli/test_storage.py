"""``storage``, and what ``doctor`` says of stored files and buckets."""

import asyncio
import json
from typing import Any

import pytest

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.services.workspace import Workspace
from tests.buckets import Variables, answering, nowhere
from tests.cli.test_accounts import holdfast, query
from tests.services.media.files import media
from tests.services.media.sweeps import lost, sweep, whole


@pytest.fixture
async def keys(settings: AppSettings, sessions: Sessions) -> list[str]:
    """Two files whose objects are there."""
    workspace = Workspace.from_settings(settings)
    found = [(await workspace.keep(data)).key for data in (b"abcd", b"efgh")]
    async with transaction(sessions) as session:
        session.add_all([media(key) for key in found])
    return found


async def run(settings: AppSettings, *arguments: str, **values: str) -> Any:
    """The command has an event loop of its own."""
    return await asyncio.to_thread(lambda: holdfast(settings, *arguments, **values))


async def test_what_is_stored_is_shown_before_the_first_sweep(settings: AppSettings, keys: list[str]) -> None:
    done = await run(settings, "storage")
    assert done.exit_code == 0, done.output
    assert f"{len(keys)} files of 8 bytes, in a folder" in done.output
    assert "owner@example.com" in done.output
    assert "No sweep has ended yet" in done.output


@pytest.mark.usefixtures("keys")
async def test_the_last_sweep_is_shown_with_the_keys_that_are_lost(
    settings: AppSettings, sessions: Sessions
) -> None:
    await sweep(sessions, lost())
    done = await run(settings, "storage")
    assert done.exit_code == 1
    assert "1 missing, 0 of another size, 0 damaged" in done.output
    assert f"missing  {'0' * 64}" in done.output


async def test_verify_looks_at_every_content_now_and_removes_nothing(
    settings: AppSettings, keys: list[str]
) -> None:
    workspace = Workspace.from_settings(settings)
    stray = (await workspace.keep(b"stray")).key
    workspace.path(keys[0]).write_bytes(b"ABCD")
    done = await run(settings, "storage", "--verify", "--json")
    assert done.exit_code == 1, done.output
    report = json.loads(done.stdout)["report"]
    assert report["damaged"] == {"count": 1, "keys": [keys[0]]}
    assert (report["verified"], report["removed"], report["unreferenced"]) == (2, 0, 1)
    assert workspace.path(stray).exists()


@pytest.mark.usefixtures("keys")
async def test_a_storage_that_cannot_be_read_is_told(settings: AppSettings) -> None:
    done = await run(settings, "storage", "--verify", **nowhere())
    assert done.exit_code == 1
    assert "does not answer" in str(done.exception)


async def test_a_database_that_is_away_is_told(settings: AppSettings) -> None:
    done = await run(settings, "storage", DATABASE_URL="postgresql://127.0.0.1:1/db")
    assert "PostgreSQL does not answer" in str(done.exception)


def finding(output: str, subject: str) -> dict[str, Any] | None:
    return next((found for found in json.loads(output) if found["subject"] == subject), None)


async def test_doctor_tells_of_lost_files_and_is_silent_where_none_are(
    settings: AppSettings, sessions: Sessions
) -> None:
    for report, is_told in ((None, False), (whole(), False), (lost(), True), (whole(kept=True), True)):
        if report is not None:
            await sweep(sessions, report)
        done = await run(settings, "doctor", "--json")
        found = finding(done.stdout, "stored files")
        assert (found is not None) is is_told
    assert found is not None
    assert "is it the right one" in found["said"]
    assert "holdfast storage" in found["fix"]


async def test_doctor_asks_the_bucket(settings: AppSettings, bucket: Variables) -> None:
    done = await run(settings, "doctor", "--json", **bucket)
    found = finding(done.stdout, "S3 bucket")
    assert found is not None
    assert (found["ok"], found["said"]) == (True, f"{bucket['S3_BUCKET']} answers")
    with answering(403, "AccessDenied") as refusing:
        done = await run(settings, "doctor", "--json", **refusing)
    found = finding(done.stdout, "S3 bucket")
    assert found is not None
    assert (found["ok"], found["said"]) == (False, "bucket: refused")


async def test_doctor_says_nothing_of_files_before_the_schema_is_there(settings: AppSettings) -> None:
    query(settings, "DROP TABLE jobs CASCADE")
    done = await run(settings, "doctor", "--json")
    assert finding(done.stdout, "stored files") is None
    assert finding(done.stdout, "PostgreSQL") is not None
