"""Resumable uploads to the real stack, by a client that others wrote."""

import hashlib
import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient

from tests.servers import DEADLINE, wait_for
from tests.stack.harness import Stack

pytestmark = pytest.mark.stack

PIECE = 256 * 1024
TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def film(video: Path) -> bytes:
    """A real video, with so much behind it that it takes a while."""
    return video.read_bytes() + bytes(64 * PIECE)


def require_whole(stack: Stack, media_id: str, film: bytes) -> None:
    media = stack.client.get(f"/api/v1/media/{media_id}").json()
    assert (media["size"], media["sha256"]) == (len(film), hashlib.sha256(film).hexdigest())
    assert stack.client.get(f"/api/v1/media/{media_id}/content").content == film
    job = stack.wait_job(media["job_id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job


def credential(stack: Stack) -> dict[str, str]:
    return {"Authorization": stack.client.headers["authorization"]}


class Halting(io.BytesIO):
    """A file whose reader halts at each mark until the test lets it go on."""

    def __init__(self, data: bytes, *marks: int) -> None:
        super().__init__(data)
        self.halts = [(mark, Event(), Event()) for mark in marks]

    def read(self, size: int | None = -1) -> bytes:
        for mark, reached, go_on in self.halts:
            if self.tell() >= mark:
                reached.set()
                go_on.wait(DEADLINE)
        return super().read(size)


def test_tuspy_resumes_after_kill_9_of_the_api_in_mid_upload(stack: Stack, film: bytes) -> None:
    file = Halting(film, len(film) // 4, len(film) // 2)
    client = TusClient(f"{stack.url}/api/v1/uploads", headers=credential(stack))
    uploader = client.uploader(
        file_stream=file, chunk_size=PIECE, metadata={"filename": "film.mp4"},
        retries=600, retry_delay=0.1, upload_checksum=True,
    )  # fmt: skip
    before: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(uploader.upload)
        for _, reached, go_on in file.halts:
            assert reached.wait(DEADLINE)
            before.append(uploader.offset)
            for name in ("api-0", "api-1"):
                stack.kill(name)
            go_on.set()
        sending.result(200)
    assert 0 < before[0] < before[1] < len(film)
    status = stack.client.get(str(uploader.url)).json()
    assert status["name"] == "film.mp4"
    require_whole(stack, status["media_id"], film)


def listens(address: str) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        return connection.connect_ex(address) == 0


@contextmanager
def process(stack: Stack, name: str) -> Iterator[httpx.Client]:
    """One API process, by its own socket."""
    address = str(stack.state.run / f"{name}.sock")
    # It may have been killed by the test before.
    wait_for(lambda: listens(address), what=f"{name} to listen")
    transport = httpx.HTTPTransport(uds=address)
    with httpx.Client(
        transport=transport, base_url="http://localhost", headers=TUS | credential(stack), timeout=120
    ) as client:
        yield client


def test_two_processes_take_the_pieces_of_one_upload_in_turns(stack: Stack, film: bytes) -> None:
    with process(stack, "api-0") as one, process(stack, "api-1") as other:
        begun = one.post("/api/v1/uploads", headers={"Upload-Length": str(len(film))})
        url = begun.headers["location"]
        answer = begun
        for number, start in enumerate(range(0, len(film), 8 * PIECE)):
            offset = {"Upload-Offset": str(start)}
            client = (other, one)[number % 2]
            answer = client.patch(url, headers=offset, content=film[start : start + 8 * PIECE])
            assert answer.status_code == 204, answer.text
    require_whole(stack, answer.headers["holdfast-media-id"], film)
