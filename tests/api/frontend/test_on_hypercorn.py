"""Paths as attackers spell them, decoded by the real server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import hypercorn.asyncio
import pytest
from hypercorn.config import Config

from app.main import create_app
from tests.api.frontend.conftest import Make
from tests.servers import DEADLINE

ESCAPES = (
    "/../secret", "/..%2fsecret", "/%2e%2e/secret", "/%2e%2e%2fsecret", "/assets/..%2f..%2fsecret",
    "/..%5csecret", "/%2fetc/passwd", "//etc/passwd", "/secret%00.html", "/way-out", "/folder-out/secret",
    "/.env", "/%2eenv",
)  # fmt: skip


@pytest.fixture
async def socket(make: Make, tmp_path: Path) -> AsyncIterator[str]:
    config, stop = Config(), asyncio.Event()
    config.bind = [f"unix:{tmp_path}/s"]
    config.errorlog = None
    server = asyncio.create_task(
        hypercorn.asyncio.serve(create_app(make()), config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]  # its ASGI types differ in name
    )
    async with asyncio.timeout(DEADLINE):
        while not (tmp_path / "s").exists():
            await asyncio.sleep(0.02)
    yield f"{tmp_path}/s"
    stop.set()
    await server


async def test_v2_no_spelling_reaches_what_is_outside_or_hidden(socket: str) -> None:
    for path in ESCAPES:
        reader, writer = await asyncio.open_unix_connection(socket)
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: image/png\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        async with asyncio.timeout(DEADLINE):
            answer = await reader.read()
        writer.close()
        assert answer.split()[1] in {b"400", b"404"}, path
        assert b"hidden" not in answer, path
        assert b"root:" not in answer, path
