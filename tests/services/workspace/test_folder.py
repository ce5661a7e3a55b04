"""The workspace (A12, V11)."""

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from app.exceptions.base import InsufficientStorageException, PayloadTooLargeException
from app.services.workspace import State, Workspace
from app.services.workspace.durable import is_older
from app.services.workspace.incoming import CHUNK, HEAD
from tests.configuration import make_settings

LIMIT = 64 * CHUNK


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    root.mkdir()
    return Workspace(root)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_what_is_kept_is_found_under_the_hash_of_its_content(workspace: Workspace) -> None:
    data = os.urandom(3 * CHUNK + 7)
    async with workspace.receive(limit=LIMIT) as incoming:
        for start in range(0, len(data), 100_000):
            await incoming.write(data[start : start + 100_000])
        stored = await incoming.keep()
    assert stored.key == hashlib.sha256(data).hexdigest()
    assert stored.size == len(data)
    assert workspace.path(stored.key).read_bytes() == data


async def test_the_head_is_the_beginning_of_the_file(workspace: Workspace) -> None:
    data = os.urandom(HEAD + 100)
    async with workspace.receive(limit=LIMIT) as incoming:
        for start in range(0, len(data), 1000):
            await incoming.write(data[start : start + 1000])
        assert incoming.head == data[:HEAD]


async def test_what_is_not_kept_leaves_nothing_behind(workspace: Workspace) -> None:
    async with workspace.receive(limit=LIMIT) as incoming:
        await incoming.write(b"x" * (2 * CHUNK))
        assert files(workspace.uploads)
    assert files(workspace.uploads) == []
    assert files(workspace.objects) == []


async def test_an_interrupted_upload_leaves_nothing_behind(workspace: Workspace) -> None:
    async def interrupted() -> None:
        async with workspace.receive(limit=LIMIT) as incoming:
            await incoming.write(b"x" * (2 * CHUNK))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await interrupted()
    assert files(workspace.uploads) == []


async def test_nothing_beyond_the_limit_is_taken(workspace: Workspace) -> None:
    async with workspace.receive(limit=10) as incoming:
        await incoming.write(b"x" * 10)
        with pytest.raises(PayloadTooLargeException, match="10 bytes"):
            await incoming.write(b"x")


async def test_storing_the_same_content_twice_is_one_object(workspace: Workspace) -> None:
    first = await workspace.keep(b"same")
    second = await workspace.keep(b"same")
    assert first == second
    assert files(workspace.objects) == [workspace.path(first.key)]


async def test_a_damaged_object_is_healed_by_the_next_upload_of_its_content(workspace: Workspace) -> None:
    stored = await workspace.keep(b"content")
    workspace.path(stored.key).write_bytes(b"dam")
    await workspace.keep(b"content")
    assert workspace.path(stored.key).read_bytes() == b"content"


async def test_the_file_and_every_new_folder_reach_the_disk_before_keep_returns(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    stored = await workspace.keep(b"precious")
    folder = workspace.path(stored.key).parent
    assert synced[0].startswith(str(workspace.uploads))
    assert synced[-1] == str(folder)
    assert {str(workspace.root), str(workspace.objects), str(folder.parent)} <= set(synced)


def test_a_writable_workspace_tells_its_free_bytes(workspace: Workspace) -> None:
    status = workspace.check()
    assert status.state is State.WRITABLE
    assert status.free > 0


def test_a_missing_workspace_is_told_and_not_made(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "unmounted")
    assert workspace.check().state is State.MISSING
    assert not workspace.root.exists()


def test_a_workspace_in_the_state_folder_is_made(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "state", "postgresql://h/db", "redis://h")
    assert Workspace.from_settings(settings).check().state is State.WRITABLE
    assert (tmp_path / "state" / "workspace").is_dir()


def test_a_workspace_that_was_chosen_is_not_made(tmp_path: Path) -> None:
    chosen = str(tmp_path / "chosen")
    settings = make_settings(tmp_path, "postgresql://h/db", "redis://h", WORKSPACE_ROOT=chosen)
    assert Workspace.from_settings(settings).check().state is State.MISSING


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Workspace(tmp_path / "file" / "workspace", create=True).check().state is State.MISSING


def test_a_read_only_workspace_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = os.statvfs(workspace.root)
    read_only = os.statvfs_result([*facts[:8], facts.f_flag | os.ST_RDONLY, facts[9]])
    monkeypatch.setattr(os, "statvfs", lambda _path: read_only)
    assert workspace.check().state is State.READ_ONLY


def test_a_workspace_without_write_permission_is_read_only(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Permission bits mean nothing to root, who runs these tests in some places.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert workspace.check().state is State.READ_ONLY


def test_a_workspace_with_too_little_room_is_full(workspace: Workspace) -> None:
    workspace.minimum_free = 2**60
    assert workspace.check().state is State.FULL


def test_a_workspace_without_free_inodes_is_full(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = list(os.statvfs(workspace.root))
    facts[5], facts[7] = 100, 0
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(facts))
    assert workspace.check().state is State.FULL


def test_a_file_system_without_a_count_of_inodes_is_not_full(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = list(os.statvfs(workspace.root))
    facts[5] = facts[6] = facts[7] = 0
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(facts))
    assert workspace.check().state is State.WRITABLE


@pytest.mark.parametrize("create", [True, False])
async def test_uploads_into_a_missing_workspace_are_refused_with_its_state(
    tmp_path: Path, create: bool
) -> None:
    (tmp_path / "file").touch()
    workspace = Workspace(tmp_path / "file" / "workspace", create=create)
    with pytest.raises(InsufficientStorageException, match="missing") as caught:
        await workspace.keep(b"x")
    assert caught.value.details == {"workspace": "missing"}


async def test_an_announced_size_beyond_the_free_room_is_refused_before_a_byte_is_read(
    workspace: Workspace,
) -> None:
    with pytest.raises(InsufficientStorageException, match="full"):
        async with workspace.receive(limit=2**62, expected=2**61):
            pytest.fail("it was let in")


async def test_a_disk_that_fills_up_on_the_way_ends_the_upload_and_frees_its_room(
    workspace: Workspace,
) -> None:
    async with workspace.receive(limit=LIMIT) as incoming:
        await incoming.write(b"x" * CHUNK)
        workspace.minimum_free = 2**60
        with pytest.raises(InsufficientStorageException, match="full"):
            await incoming.write(b"x" * CHUNK)
    assert files(workspace.root) == []


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "read-only"),
        (errno.ENOENT, "missing"),
        (errno.EXDEV, "UPLOAD_DIR"),
        (errno.EIO, "no room"),
    ],
)
async def test_what_the_system_says_becomes_a_clear_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InsufficientStorageException, match=message):
        await workspace.keep(b"x")
    assert files(workspace.uploads) == []


async def test_a_work_folder_is_private_and_removed_with_its_content(workspace: Workspace) -> None:
    with workspace.work_folder() as folder:
        (folder / "a").write_text("b")
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_a_work_folder_in_a_missing_workspace_is_a_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InsufficientStorageException, match="missing"),
        Workspace(tmp_path / "nowhere").work_folder(),
    ):
        pytest.fail("it was made")


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_leftovers_of_dead_processes_are_removed_by_age(workspace: Workspace) -> None:
    workspace.uploads.mkdir()
    workspace.temporary.mkdir()
    for path in (workspace.uploads / "holdfast-upload-old", workspace.uploads / "holdfast-upload-new"):
        path.touch()
    (workspace.temporary / "holdfast-work-old").mkdir()
    (workspace.temporary / "holdfast-work-old" / "frame").touch()
    age(workspace.uploads / "holdfast-upload-old", 7200)
    age(workspace.temporary / "holdfast-work-old", 7200)
    assert workspace.remove_leftovers(3600) == 2
    assert files(workspace.root) == [workspace.uploads / "holdfast-upload-new"]


async def test_a_finished_file_is_kept_as_a_copy(workspace: Workspace, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(os.urandom(2 * CHUNK + 5))
    with made.open("rb") as file:
        stored = await workspace.keep_file(file)
    assert stored.key == hashlib.sha256(made.read_bytes()).hexdigest()
    assert workspace.path(stored.key).read_bytes() == made.read_bytes()
    with made.open("rb") as file:
        assert await workspace.keep_file(file) == stored


def test_what_is_gone_is_not_older_than_anything(tmp_path: Path) -> None:
    assert not is_older(tmp_path / "gone", 0)


def test_v11_uploads_and_work_files_have_their_own_settings(tmp_path: Path) -> None:
    folders = {name: str(tmp_path / name) for name in ("WORKSPACE_ROOT", "UPLOAD_DIR", "TEMP_DIR")}
    settings = make_settings(tmp_path, "postgresql://h/db", "redis://h", **folders)
    workspace = Workspace.from_settings(settings)
    assert workspace.uploads == tmp_path / "UPLOAD_DIR"
    assert workspace.temporary == tmp_path / "TEMP_DIR"
