"""Objects in a bucket: what is its own, and what goes wrong there (V12)."""

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

from app.exceptions.base import AppException, InsufficientStorageException, ServiceUnavailableException
from app.services.workspace import State, Stored, Workspace
from app.services.workspace import bucket as buckets
from app.services.workspace.bucket_errors import state_of
from app.services.workspace.incoming import CHUNK
from app.services.workspace.objects import place
from tests.buckets import Variables, answering, names, nowhere, write
from tests.configuration import SECRET_KEY
from tests.services.workspace.conftest import Opened

KEY = "ab" * 32


async def test_objects_have_the_same_names_as_in_a_folder(opened: Opened, bucket: Variables) -> None:
    stored = await opened(bucket).keep(b"x")
    assert names(bucket) == [f"objects/{stored.key[:2]}/{stored.key[2:4]}/{stored.key}"]


async def test_deployments_with_a_prefix_each_share_a_bucket(opened: Opened, bucket: Variables) -> None:
    one, other = opened(bucket | {"S3_PREFIX": "one/"}), opened(bucket | {"S3_PREFIX": "two/x/"})
    stored = await one.keep(b"x")
    assert names(bucket) == [f"one/{place(stored.key)}"]
    assert await other.info(stored.key) is None
    assert [page async for page in other.store.pages()] == []


async def test_what_else_is_in_the_bucket_is_no_object(opened: Opened, bucket: Variables) -> None:
    write(bucket, "objects/ab/cd/README", b"not ours")
    assert [page async for page in opened(bucket).store.pages()] == []


async def test_a_large_file_goes_and_comes_in_parts(
    opened: Opened, bucket: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "PART", 5 * CHUNK)
    workspace, data = opened(bucket), os.urandom(12 * CHUNK)
    stored = await workspace.keep(data)
    async with workspace.local(stored.key) as path:
        assert path.read_bytes() == data


async def test_a_small_range_is_asked_for_alone_and_a_long_read_looks_ahead(
    opened: Opened, bucket: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened(bucket)
    stored = await workspace.keep(bytes(6 * CHUNK))
    asked: list[int] = []
    get = obstore.get_range_async

    def noted(client: S3Store, name: str, *, start: int, length: int) -> Any:
        asked.append(length)
        return get(client, name, start=start, length=length)

    monkeypatch.setattr(obstore, "get_range_async", noted)
    async with workspace.open(stored.key) as file:
        await file.seek(5)
        await file.read(2)
        assert asked == [2]
        asked.clear()
        await file.seek(0)
        while await file.read(CHUNK):
            pass
    assert asked == [CHUNK, 2 * CHUNK, 2 * CHUNK, CHUNK]


async def test_a_copy_is_not_begun_where_there_is_no_room_for_it(opened: Opened, bucket: Variables) -> None:
    workspace = opened(bucket)
    stored = await workspace.keep(b"content")
    workspace.minimum_free = 2**60
    with pytest.raises(InsufficientStorageException, match="full"):
        async with workspace.local(stored.key):
            pytest.fail("it was copied")
    assert list(workspace.temporary.iterdir()) == []


async def test_no_copy_is_made_of_what_is_not_there(opened: Opened, bucket: Variables) -> None:
    workspace = opened(bucket)
    with pytest.raises(ServiceUnavailableException):
        async with workspace.local(KEY):
            pytest.fail("it was copied")
    assert list(workspace.temporary.iterdir()) == []


async def test_an_object_that_goes_while_it_is_read_is_no_end_of_file(
    opened: Opened, bucket: Variables
) -> None:
    workspace = opened(bucket)
    stored = await workspace.keep(b"content")
    async with workspace.open(stored.key) as file:
        await workspace.remove({stored.key})
        with pytest.raises(ServiceUnavailableException, match="cannot be read"):
            await file.read(3)


async def test_an_upload_grows_on_the_disk_and_ends_when_that_is_full(
    opened: Opened, bucket: Variables
) -> None:
    workspace = opened(bucket)
    async with workspace.receive(limit=2**40) as incoming:
        await incoming.write(b"x" * CHUNK)
        workspace.minimum_free = 2**60
        with pytest.raises(InsufficientStorageException, match="full"):
            await incoming.write(b"x" * CHUNK)
    assert list(workspace.uploads.iterdir()) == []
    assert names(bucket) == []


FAULTS = {
    "denied": (403, "AccessDenied", State.REFUSED, InsufficientStorageException),
    "unauthenticated": (401, "InvalidAccessKeyId", State.REFUSED, InsufficientStorageException),
    "no bucket": (404, "NoSuchBucket", State.REFUSED, InsufficientStorageException),
    "full": (507, "XMinioStorageFull", State.FULL, InsufficientStorageException),
    "over its quota": (403, "QuotaExceeded", State.FULL, InsufficientStorageException),
    "in another region": (301, "PermanentRedirect", State.REFUSED, InsufficientStorageException),
    "too busy": (429, "SlowDown", State.UNREACHABLE, ServiceUnavailableException),
    "ill": (500, "InternalError", State.UNREACHABLE, ServiceUnavailableException),
}


def test_the_name_of_an_object_says_nothing_of_the_bucket() -> None:
    said = "error sending request for url (http://bucket/redirects/ab507cd), after 3 retries, in 1.507s"
    assert state_of(OSError(said)) is State.UNREACHABLE


@pytest.mark.parametrize(("status", "code", "state", "kind"), FAULTS.values(), ids=FAULTS)
async def test_what_the_server_says_becomes_a_clear_state_and_error(
    *, opened: Opened, tmp_path: Path, status: int, code: str, state: State, kind: type[AppException]
) -> None:
    with answering(status, code) as bucket:
        workspace = opened(bucket)
        assert workspace.check().state is state
        with pytest.raises(kind) as caught:
            await workspace.keep(b"x")
        assert caught.value.details == {"workspace": str(state)}
        (tmp_path / "sent").write_bytes(b"x")
        with pytest.raises(kind):
            await workspace.stage(tmp_path / "sent", Stored(KEY, 1))


async def test_a_server_that_is_away_is_told_before_anything_is_sent_to_us(opened: Opened) -> None:
    workspace = opened(nowhere())
    assert workspace.check().state is State.UNREACHABLE
    with pytest.raises(ServiceUnavailableException, match="does not answer"):
        async with workspace.receive(limit=100):
            pytest.fail("it was let in")


async def _open(workspace: Workspace) -> None:
    async with workspace.open(KEY):
        pytest.fail("it was opened")


async def _info(workspace: Workspace) -> None:
    await workspace.info(KEY)


async def _list(workspace: Workspace) -> None:
    await anext(workspace.store.pages())


@pytest.mark.parametrize("ask", [_open, _info, _list])
async def test_reading_from_a_server_that_is_away_is_a_clear_error(
    opened: Opened, ask: Callable[[Workspace], Awaitable[None]]
) -> None:
    with pytest.raises(ServiceUnavailableException, match="cannot be read"):
        await ask(opened(nowhere()))


async def test_removing_from_a_server_that_is_away_is_a_clear_error(opened: Opened) -> None:
    with pytest.raises(ServiceUnavailableException, match="does not answer"):
        await opened(nowhere()).remove({KEY})


async def test_a_fault_is_logged_in_one_line_without_the_secret(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(403, "AccessDenied") as bucket, pytest.raises(InsufficientStorageException):
        await opened(bucket).remove({KEY})
    [record] = [each for each in caplog.records if each.getMessage() == "bucket_failed"]
    assert "AccessDenied" in vars(record)["error"]
    assert "\n" not in vars(record)["error"]
    assert "not-shown-anywhere" not in str(vars(record))


async def test_a_folder_that_is_missing_comes_before_the_bucket(opened: Opened, tmp_path: Path) -> None:
    assert opened(nowhere() | {"WORKSPACE_ROOT": str(tmp_path / "none")}).check().state is State.MISSING


def test_the_verdict_on_a_bucket_holds_for_a_while(
    opened: Opened, bucket: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened(bucket)
    asked = 0
    now, answer = 1000.0, State.WRITABLE

    def asking() -> State:
        nonlocal asked
        asked += 1
        return answer

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(workspace.store, "_asked", asking)
    for moment, given, seen, times in (
        (1000.0, State.WRITABLE, State.WRITABLE, 1),
        (1014.0, State.REFUSED, State.WRITABLE, 1),
        (1015.0, State.REFUSED, State.REFUSED, 2),
        (1016.0, State.WRITABLE, State.REFUSED, 2),
        (1017.0, State.WRITABLE, State.WRITABLE, 3),
    ):
        now, answer = moment, given
        assert (workspace.check().state, asked) == (seen, times)


def test_who_has_no_bucket_does_not_load_its_library(tmp_path: Path) -> None:
    program = (
        "import sys; from app.main import create_app; import app.workers.tasks;"
        "from app.core.config import settings; from app.services.workspace import Workspace;"
        "Workspace.from_settings(settings); sys.exit('obstore' in sys.modules)"
    )
    servers = {"DATABASE_URL": "postgresql://h/db", "REDIS_URL": "redis://h"}
    environment = os.environ | servers | {"STATE_DIR": str(tmp_path), "SECRET_KEY": SECRET_KEY}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0
