"""Uploads 200 MB into an application in this process and prints by how many bytes its memory grew."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from asgi_lifespan import LifespanManager

from app.core.config import load_settings
from app.main import create_app
from tests.accounts import bearer
from tests.servers import DEADLINE

CHUNK = 64 * 1024
CHUNKS = 200 * 16
HEAD = b"\xff\xd8\xff"


async def content() -> AsyncIterator[bytes]:
    yield HEAD
    for _ in range(CHUNKS):
        yield bytes(CHUNK)


async def form() -> AsyncIterator[bytes]:
    yield b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    async for chunk in content():
        yield chunk
    yield b"\r\n--edge--\r\n"


def peak() -> int:
    """Bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def resumable(client: httpx.AsyncClient) -> int:
    """The same by tus."""
    before = 0
    for size in (len(HEAD), len(HEAD) + CHUNK * CHUNKS):
        before = peak()
        tus = {"Tus-Resumable": "1.0.0"}
        begun = await client.post("/api/v1/uploads", headers=tus | {"Upload-Length": str(size)})
        begun.raise_for_status()
        piece = tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        body = content() if size > len(HEAD) else HEAD
        (await client.patch(begun.headers["location"], content=body, headers=piece)).raise_for_status()
    return peak() - before


async def main(kind: str) -> None:
    """Upload a little first, so that only what grows with the size is counted."""
    settings = load_settings(directory=Path("/nonexistent"))
    api = create_app(settings)
    async with LifespanManager(api, startup_timeout=DEADLINE, shutdown_timeout=DEADLINE) as manager:
        transport = httpx.ASGITransport(manager.app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=bearer(settings), timeout=60
        ) as client:
            if kind == "tus":
                sys.stdout.write(f"{await resumable(client)}\n")
                return
            url = "/api/v1/media"
            (await client.post(url, content=HEAD)).raise_for_status()
            before = peak()
            body, headers = content(), {}
            if kind == "form":
                body, headers = form(), {"content-type": "multipart/form-data; boundary=edge"}
            (await client.post(url, content=body, headers=headers)).raise_for_status()
            sys.stdout.write(f"{peak() - before}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
