"""What a folder and a bucket do alike."""

import hashlib
import os
from pathlib import Path

import pytest

from app.exceptions.base import ServiceUnavailableException
from app.services.workspace import State, Stored, Workspace
from app.services.workspace.incoming import CHUNK

UNKNOWN = "0" * 64


async def test_what_is_kept_is_read_back(either: Workspace) -> None:
    stored = await either.keep(b"some content")
    assert stored == Stored(hashlib.sha256(b"some content").hexdigest(), 12)
    async with either.open(stored.key) as file:
        assert await file.read(100) == b"some content"
        assert await file.read(100) == b""


async def test_a_part_is_read_from_where_it_begins(either: Workspace) -> None:
    data = os.urandom(3 * CHUNK)
    stored = await either.keep(data)
    async with either.open(stored.key) as file:
        await file.seek(CHUNK + 5)
        assert await file.read(10) == data[CHUNK + 5 : CHUNK + 15]
        assert await file.read(10) == data[CHUNK + 15 : CHUNK + 25]
        await file.seek(len(data) - 3)
        assert await file.read(10) == data[-3:]


async def test_reading_on_and_going_back_gives_the_same_bytes(either: Workspace) -> None:
    data = os.urandom(7 * CHUNK + 11)
    stored = await either.keep(data)
    read = bytearray()
    async with either.open(stored.key) as file:
        while chunk := await file.read(256 * 1024):
            read += chunk
        await file.seek(3)
        again = await file.read(5)
        await file.seek(8)
        again += await file.read(2)
    assert read == data
    assert again == data[3:10]


async def test_its_size_and_time_are_known(either: Workspace, tmp_path: Path) -> None:
    (tmp_path / "now").touch()
    stored = await either.keep(b"some content")
    found = await either.info(stored.key)
    assert found is not None
    assert (found.key, found.size) == (stored.key, 12)
    assert found.modified == pytest.approx((tmp_path / "now").stat().st_mtime, abs=60)
    assert await either.info(UNKNOWN) is None


async def test_tools_are_given_a_file(either: Workspace) -> None:
    stored = await either.keep(b"some content")
    async with either.local(stored.key) as path:
        assert path.is_absolute()
        assert path.read_bytes() == b"some content"
    assert list(either.temporary.glob("*")) == []


async def test_what_is_not_there_cannot_be_read(either: Workspace) -> None:
    with pytest.raises(ServiceUnavailableException, match="cannot be read"):
        async with either.open(UNKNOWN):
            pytest.fail("it was opened")


async def test_removing_takes_it_and_may_be_repeated(either: Workspace) -> None:
    one, other = await either.keep(b"one"), await either.keep(b"other")
    for _ in range(2):
        await either.remove({one.key, UNKNOWN})
    await either.remove(set())
    assert await either.info(one.key) is None
    assert await either.info(other.key) is not None


async def test_objects_are_listed_in_the_order_of_their_keys(either: Workspace) -> None:
    stored = [await either.keep(b"%d" % number) for number in range(5)]
    listed = [found async for page in either.store.pages() for found in page]
    assert [(found.key, found.size) for found in listed] == sorted((each.key, each.size) for each in stored)


async def test_nothing_is_listed_where_nothing_is(either: Workspace) -> None:
    assert [page async for page in either.store.pages()] == []


async def test_a_damaged_object_is_healed_by_the_next_upload_of_its_content(either: Workspace) -> None:
    stored = await either.keep(b"content")
    broken = either.root / "broken"
    broken.write_bytes(b"dam")
    await either.stage(broken, Stored(stored.key, 3))
    await either.put(broken, Stored(stored.key, 3))
    await either.keep(b"content")
    async with either.open(stored.key) as file:
        assert await file.read(100) == b"content"


async def test_nothing_of_an_upload_is_left_on_this_disk_but_the_object(either: Workspace) -> None:
    stored = await either.keep(b"content")
    found = [path for path in either.root.rglob("*") if path.is_file()]
    assert found == [path for path in [either.path(stored.key)] if either.store.path(stored.key)]


async def test_an_object_removed_between_sending_and_holding_is_put_there_all_the_same(
    either: Workspace,
) -> None:
    async def removed_at_the_last_moment(key: str) -> None:
        await either.remove({key})

    async with either.receive(limit=100) as incoming:
        await incoming.write(b"content")
        stored = await incoming.keep(removed_at_the_last_moment)
    async with either.open(stored.key) as file:
        assert await file.read(100) == b"content"


def test_a_good_one_is_writable(either: Workspace) -> None:
    assert either.check().state is State.WRITABLE
