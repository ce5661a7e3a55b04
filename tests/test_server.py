"""One API process, for real: its drain, its end, and what it refuses."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[1]
TOY = Path(__file__).with_name("toy_server.py")
DEADLINE = 60
T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = DEADLINE) -> T:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)
    return value


class Served:
    """The process and how to speak with it."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.path = folder / "api-0.sock"
        self.journal = folder / "journal"
        self.heartbeat = folder / "heartbeat"
        values = {
            "API_BIND": f"unix:{self.path}",
            "JOURNAL": str(self.journal),
            "HEARTBEAT_FILE": str(self.heartbeat),
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(
            [sys.executable, str(TOY)], env=os.environ | values | variables, stdout=subprocess.PIPE
        )
        self.lines: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            until(self.accepts)
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        assert self.process.stdout
        self.lines.extend(self.process.stdout)

    def accepts(self) -> bool:
        assert self.process.poll() is None
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        try:
            connection.connect(str(self.path))
        except OSError:
            connection.close()
            raise
        return connection

    def client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.path))
        return httpx.Client(transport=transport, base_url="http://toy", timeout=DEADLINE)

    def raw(self, data: bytes) -> bytes:
        """Send these bytes and give everything that comes back until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)

    def signal(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def close(self) -> None:
        self.process.kill()
        self.wait()
        assert self.process.stdout
        self.process.stdout.close()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


Start = Callable[..., Served]


@pytest.fixture
def start() -> Iterator[Start]:
    made: list[Served] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:

        def begin(**variables: str) -> Served:
            made.append(Served(Path(folder), **variables))
            return made[-1]

        yield begin
        for served in made:
            served.close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_request_in_flight_is_answered_after_sigterm_and_the_process_ends_with_0(
    start: Start, loop: str
) -> None:
    """A13."""
    served = start(LOOP=loop)
    with served.client() as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.get, "/slow?seconds=5")
        until(served.journal.with_suffix(".slow").exists)
        served.signal()
        assert answer.result(DEADLINE).status_code == 200
        assert served.wait() == 0
    assert served.journal.read_text() == "closed"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_what_outlasts_the_grace_is_cut_off_and_the_lifespan_still_ends(start: Start, loop: str) -> None:
    served = start(LOOP=loop, GRACE="0.5")
    with served.client() as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.get, "/slow?seconds=600")
        until(served.journal.with_suffix(".slow").exists)
        served.signal()
        assert answer.result(DEADLINE).status_code == 500
        assert served.wait() == 0
    assert served.journal.read_text() == "closed"
    assert any(b"cut off" in line for line in served.lines)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_open_event_stream_ends_in_order_and_does_not_hinder_the_end(start: Start, loop: str) -> None:
    served = start(LOOP=loop, GRACE="600")
    with served.connect() as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: toy\r\n\r\n")
        read_until(connection, b"data: one")
        served.signal()
        rest = read_all(connection)
    assert re.search(rb"\r\nretry: \d+\n\n\r\n0\r\n\r\n$", rest), "told to come back, and whole"
    assert served.wait() == 0
    assert served.journal.read_text() == "closed"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_open_websocket_is_closed_with_1012_and_does_not_hinder_the_end(start: Start, loop: str) -> None:
    served = start(LOOP=loop, GRACE="600")
    with served.connect() as connection:
        connection.sendall(
            b"GET /talk HTTP/1.1\r\nHost: toy\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        read_until(connection, b"hello")
        served.signal()
        received = read_until(connection, b"restarting")
    assert received[:4] == bytes([0x88, 12]) + (1012).to_bytes(2, "big")
    assert served.wait() == 0
    assert served.journal.read_text() == "closed"


def test_while_draining_new_connections_are_served_and_told_to_close(start: Start) -> None:
    served = start(DRAIN_DELAY="600")
    served.signal()

    def draining() -> httpx.Response | None:
        with served.client() as client:
            answer = client.get("/")
        return answer if answer.status_code == 503 else None

    answer = until(draining)
    assert answer
    assert answer.headers["Connection"] == "close"


def test_after_its_drain_the_process_ends_with_0(start: Start) -> None:
    served = start(DRAIN_DELAY="0.5")
    served.signal()
    assert served.wait() == 0


def test_the_heartbeat_file_is_touched_while_it_serves(start: Start) -> None:
    served = start()
    first = until(lambda: served.heartbeat.exists() and served.heartbeat.stat().st_mtime_ns)
    until(lambda: served.heartbeat.stat().st_mtime_ns > first)


def test_its_unix_socket_is_its_owners_only(start: Start) -> None:
    assert start().path.stat().st_mode & 0o777 == 0o600


def body_of(answer: bytes) -> dict[str, dict[str, str]]:
    body: dict[str, dict[str, str]] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return body


def test_headers_over_the_limit_are_refused_with_431(start: Start) -> None:
    answer = start().raw(b"GET / HTTP/1.1\r\nHost: toy\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert body_of(answer)["error"]["code"] == "headers_too_large"


def test_a_content_length_beside_a_transfer_encoding_is_refused(start: Start) -> None:
    answer = start().raw(
        b"POST / HTTP/1.1\r\nHost: toy\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert body_of(answer)["error"]["code"] == "bad_request"


def test_what_is_not_http_is_answered_in_the_form_of_every_error(start: Start) -> None:
    """A4."""
    answer = start().raw(b"\x16\x03\x01 not http\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert body_of(answer).keys() == {"error", "request_id", "timestamp"}


def test_http2_without_tls_is_not_offered(start: Start) -> None:
    served = start()
    upgrade = (
        b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    )
    assert served.raw(b"GET / HTTP/1.1\r\nHost: toy\r\n" + upgrade + b"\r\n").startswith(b"HTTP/1.1 200 ")
    assert served.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 505 ")


def test_headers_that_never_end_are_refused_with_408(start: Start) -> None:
    served = start(HEADER_SECONDS="0.3")
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: t")
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_a_request_in_pieces_is_served(start: Start) -> None:
    served = start(HEADER_SECONDS="600")
    with served.connect() as connection:
        for piece in (b"GET / HT", b"TP/1.1\r\nHost: toy\r\nConn", b"ection: close\r\n\r\n"):
            connection.sendall(piece)
            time.sleep(0.05)  # so that they arrive apart
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_every_line_that_it_writes_is_a_json_object(start: Start) -> None:
    served = start()
    served.signal()
    assert served.wait() == 0
    assert served.lines
    assert all(isinstance(json.loads(line), dict) for line in served.lines)
