"""Buckets of a real server that speaks S3, in a process of its own."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from app.services.workspace import bucket as store
from tests.configuration import unmeasured
from tests.servers import DEADLINE, own_port, wait_for
from tests.serving import NOBODY

Variables = dict[str, str]


def variables(address: str, name: str = "bucket") -> Variables:
    """The settings of a bucket at this address."""
    return {
        "S3_BUCKET": name,
        "S3_ENDPOINT_URL": address,
        "S3_ACCESS_KEY": "key",
        "S3_SECRET_KEY": "not-shown-anywhere",
    }


def nowhere() -> Variables:
    """Those of a bucket at which nobody listens."""
    return variables(f"http://{NOBODY}")


def names(bucket: Variables) -> list[str]:
    """What the bucket holds, and of what nothing is said by us."""
    listed = httpx.get(
        f"{bucket['S3_ENDPOINT_URL']}/{bucket['S3_BUCKET']}?list-type=2", timeout=DEADLINE
    ).text
    return [part.partition("</Key>")[0] for part in listed.split("<Key>")[1:]]


def write(bucket: Variables, name: str, data: bytes) -> None:
    """Write an object behind our back."""
    address = f"{bucket['S3_ENDPOINT_URL']}/{bucket['S3_BUCKET']}/{name}"
    httpx.put(address, content=data, timeout=DEADLINE).raise_for_status()


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of the server."""
    port = own_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=unmeasured(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(address).status_code == 200
        return False

    try:
        wait_for(answers, what="the S3 server")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        finally:
            process.kill()


@pytest.fixture
def bucket(s3_address: str) -> Variables:
    """A new, empty bucket."""
    given = variables(s3_address, f"bucket-{secrets.token_hex(6)}")
    httpx.put(f"{s3_address}/{given['S3_BUCKET']}", timeout=DEADLINE).raise_for_status()
    return given


@pytest.fixture(autouse=True)
def patient_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes its time on a busy machine is not away."""
    for wait in ("_BRISK", "_HASTY"):
        monkeypatch.setattr(store, wait, timedelta(seconds=DEADLINE))


Answering = Callable[[int, str], Variables]


@contextmanager
def answering(status: int, code: str) -> Iterator[Variables]:
    """A bucket whose server answers every request with this status and code of S3."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = f"<Error><Code>{code}</Code></Error>".encode()
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield variables(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join(DEADLINE)
