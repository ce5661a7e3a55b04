"""Bodies that nobody reads, over real connections: Hypercorn would wait for ever for a reader."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import hypercorn.asyncio
import pytest
from hypercorn.config import Config

from app.main import create_app
from app.middleware.unread_body import UnreadBody
from tests.configuration import make_settings
from tests.servers import DEADLINE
from tests.serving import NOBODY

LIMIT = 100_000
SENT = 5_000_000


@pytest.fixture
async def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The application on Hypercorn, in this process; it takes its time to see that a short body is here."""
    _, linger = UnreadBody.__init__.__defaults__ or ()
    monkeypatch.setattr(UnreadBody.__init__, "__defaults__", (DEADLINE, linger))
    settings = make_settings(
        tmp_path, f"postgresql://nobody@{NOBODY}/none", f"redis://{NOBODY}", MAX_BODY_SIZE=str(LIMIT)
    )
    config, stop = Config(), asyncio.Event()
    config.bind = [f"unix:{tmp_path}/s"]
    config.errorlog = None
    server = asyncio.create_task(
        hypercorn.asyncio.serve(create_app(settings), config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]  # its ASGI types differ in name
    )
    async with asyncio.timeout(DEADLINE):
        while not (tmp_path / "s").exists():
            await asyncio.sleep(0.02)
    yield f"{tmp_path}/s"
    stop.set()
    await server


def connections() -> int:
    return sum(getattr(task.get_coro(), "__name__", "") == "_server_callback" for task in asyncio.all_tasks())


async def send_much(writer: asyncio.StreamWriter, piece: bytes) -> None:
    for _ in range(SENT // 65536):
        writer.write(piece)
        await writer.drain()


@pytest.mark.parametrize(
    ("path", "status"), [("/nowhere", b"404"), ("/api/v1/ping", b"405")], ids=["unknown path", "wrong method"]
)
@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_the_answer_arrives_and_the_connection_ends(
    socket: str, path: str, status: bytes, framing: str
) -> None:
    if framing == "chunked":
        header, piece = "Transfer-Encoding: chunked", b"10000\r\n" + b"x" * 65536 + b"\r\n"
    else:
        header, piece, status = f"Content-Length: {SENT}", b"x" * 65536, b"413"
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        sending = asyncio.create_task(send_much(writer, piece))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == status
        assert b"connection: close" in head
        await asyncio.wait([sending])
        writer.close()
        while connections():
            await asyncio.sleep(0.02)


async def test_a_short_body_that_nobody_reads_keeps_the_connection(socket: str) -> None:
    reader, writer = await asyncio.open_unix_connection(socket)
    async with asyncio.timeout(DEADLINE):
        for _ in range(2):
            writer.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.split()[1] == b"404"
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
    writer.close()
