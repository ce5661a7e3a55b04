"""Every input comes to its end, and touches nothing but itself on the way there."""

import ctypes
import os
import re
import socket
import sys
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import psutil
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import AppSettings
from app.core.database import Sessions
from app.services.workspace import Workspace
from tests.samples import Samples
from tests.services.media.corpus import Input, inputs
from tests.workers.child import Child

MEDIA: Final = "/api/v1/media"

IN_ACCESS, IN_MODIFY, IN_OPEN = 0x1, 0x2, 0x20  # include/uapi/linux/inotify.h

SHARES: Final = 4
"""Of the inputs, for on a busy machine all of them take longer than one test may."""

RENDITIONS: Final = ("thumbnail", "poster", "preview", "waveform")


class Watched:
    """A file of somebody else whose folder tells who opens it."""

    def __init__(self, folder: Path, content: bytes) -> None:
        folder.mkdir()
        self.path = folder / "secret.ts"
        self.path.write_bytes(content)
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_NONBLOCK)
        libc.inotify_add_watch(self._events, os.fsencode(folder), IN_ACCESS | IN_MODIFY | IN_OPEN)

    def is_touched(self) -> bool:
        try:
            return bool(os.read(self._events, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._events)


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A server that nobody is to ask."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def is_asked(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def secret(tmp_path_factory: pytest.TempPathFactory, samples: Samples) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("another") / "private", samples.data("clip.ts"))
    yield watched
    watched.close()


async def upload(client: httpx.AsyncClient, given: Input) -> tuple[str, dict[str, Any]]:
    """The refusal, or empty words and what was answered."""
    answer = await client.post(MEDIA, params={"filename": given.name}, content=given.data)
    body = answer.json()
    if answer.status_code == 201:
        return "", body
    assert body["error"]["message"], given.name
    return f"refused {answer.status_code} {body['error']['code']}", body


async def end_of(client: httpx.AsyncClient, media_id: str) -> str:
    """How a file ended, in one line."""
    seen = (await client.get(f"{MEDIA}/{media_id}")).json()
    if seen["state"] != "ready":
        return f"{seen['state']} {seen['error']}"
    made = [
        f"preview={seen['preview_type']}" if name == "preview" else name
        for name in RENDITIONS
        if seen[f"has_{name}"]
    ]
    return " ".join(["ready", seen["kind"], *made, seen["note"] or ""]).strip()


def everything(folder: Path) -> set[tuple[Path, int]]:
    """What lies in a folder, with its modes."""
    return {(path, path.lstat().st_mode) for path in folder.rglob("*") if not path.is_socket()}


def facts(path: Path) -> tuple[int, ...]:
    """What a file's owner may change without opening it."""
    found = path.stat()
    return found.st_mode, found.st_uid, found.st_gid, found.st_nlink, found.st_mtime_ns


async def work_off(child: Child) -> None:
    """Run the jobs of the queue until there are none."""
    while claim := await child.executor.claim("media"):
        await child.executor.run(claim)


@pytest.fixture
async def workers(
    settings: AppSettings, engine: AsyncEngine, sessions: Sessions
) -> AsyncIterator[list[Child]]:
    """Two of a worker's children, in this process."""
    jobs = settings.jobs.model_copy(update={"lease_seconds": 300.0})
    held = settings.model_copy(update={"jobs": jobs})
    made = [Child(held, engine, sessions) for _ in range(2)]
    yield made
    for worker in made:
        worker.keeper.close()
        await worker.doorbell.aclose()


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who opens a file")


@on_linux
def test_what_is_touched_or_asked_is_seen(secret: Watched) -> None:
    with listening() as server:
        secret.is_touched()
        assert not secret.is_touched()
        assert not is_asked(server)
        secret.path.read_bytes()
        socket.create_connection(server.getsockname()).close()
        assert secret.is_touched()
        assert is_asked(server)


@on_linux
@pytest.mark.timeout(400)
@pytest.mark.parametrize("share", range(SHARES))
async def test_each_of_many_inputs_ends_as_it_should_and_touches_nothing_else(
    *,
    client: httpx.AsyncClient,
    settings: AppSettings,
    workers: list[Child],
    samples: Samples,
    secret: Watched,
    share: int,
) -> None:
    workspace, state = Workspace.from_settings(settings), settings.workspace_root.parent
    (state / "planted").write_text("another's")
    before, children = everything(state), psutil.Process().children()
    planted = facts(secret.path), facts(state / "planted")
    with listening() as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        all_of_them = list(inputs(samples, secret.path, address))
        given = all_of_them[share::SHARES]
        secret.is_touched()
        ends, accepted = {}, {}
        for number, each in enumerate(given):
            ends[number], body = await upload(client, each)
            if not ends[number]:
                accepted[number] = body
        async with anyio.create_task_group() as group:
            for worker in workers:
                group.start_soon(work_off, worker)
        asked, touched = is_asked(server), secret.is_touched()
    for number, body in accepted.items():
        ends[number] = await end_of(client, body["id"])
        assert_safe(body["name"])

    assert len(all_of_them) >= 30
    wrong = {
        each.name[:80]: ends[number]
        for number, each in enumerate(given)
        if not re.match(each.end, ends[number]) or str(settings.workspace_root) in ends[number]
    }
    assert wrong == {}
    assert not asked, "no tool opened a connection"
    assert not touched, "no tool opened another's file"
    outside = {each for each in everything(state) ^ before if not each[0].is_relative_to(workspace.root)}
    assert outside == set(), "nothing was written or changed outside of the workspace"
    assert (facts(secret.path), facts(state / "planted")) == planted, "nobody changed another's file"
    assert not list(workspace.temporary.iterdir()), "nothing is left of the work"
    assert not list(workspace.uploads.iterdir()), "nothing is left of the uploads"
    assert psutil.Process().children() == children, "no tool is left over"


def assert_safe(name: str) -> None:
    assert name
    assert len(name) <= 255
    assert not set("/\\") & set(name)
    assert not [letter for letter in name if unicodedata.category(letter) in {"Cc", "Cs"}]
    assert not set("\u202e\u2066\u2069") & set(name)
