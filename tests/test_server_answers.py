"""How an answer leaves the server, and when its connection ends."""

import socket
from contextlib import suppress
from typing import Any

import hypercorn.protocol
import pytest
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import ConnectionState

from app.server.config import ServerConfig
from app.server.exchange import Exchange
from app.server.protocol import StrictProtocol, install
from tests.test_server import Start, read_all, read_until, start, until

__all__ = ["start"]

KNOWN = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
UNKNOWN = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


class Group:
    """Where Hypercorn would start the application: the test itself is the application."""

    async def spawn_app(self, *_given: object) -> Any:
        async def put(_message: object) -> None:
            pass

        return put


class Wire:
    """A connection without a network: every write by itself."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False
        self.context = WorkerContext(None)
        self.protocol = StrictProtocol(
            None, ServerConfig(75), self.context, Group(), ConnectionState({}), False, None, None, self._take
        )

    async def _take(self, event: Event) -> None:
        if isinstance(event, RawData) and event.data:
            self.writes.append(bytes(event.data))
        self.is_closed = self.is_closed or isinstance(event, Closed)

    async def asked(self) -> Exchange:
        """A request came: its exchange."""
        await self.protocol.handle(RawData(data=b"GET / HTTP/1.1\r\nHost: toy\r\n\r\n"))
        exchange = self.protocol.stream
        assert isinstance(exchange, Exchange)
        return exchange


def body(data: bytes, *, more: bool = False) -> Any:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_an_answer_of_known_length_is_one_write_and_the_connection_goes_on() -> None:
    wire = Wire()
    for answers in (1, 2):
        exchange = await wire.asked()
        await exchange.app_send(KNOWN)  # type: ignore[arg-type]  # a plain dict, as applications send it
        await exchange.app_send(body(b"hello"))
        assert len(wire.writes) == answers
        assert wire.writes[-1].startswith(b"HTTP/1.1 200 ")
        assert wire.writes[-1].endswith(b"\r\n\r\nhello")
    assert not wire.is_closed


async def test_a_head_without_a_length_leaves_at_once() -> None:
    wire = Wire()
    exchange = await wire.asked()
    await exchange.app_send(UNKNOWN)  # type: ignore[arg-type]  # as above
    assert wire.writes[0].endswith(b"\r\n\r\n")


async def test_a_held_head_leaves_with_the_first_part_of_the_body_though_empty() -> None:
    wire = Wire()
    exchange = await wire.asked()
    await exchange.app_send(KNOWN)  # type: ignore[arg-type]  # as above
    assert not wire.writes
    await exchange.app_send(body(b"", more=True))
    assert wire.writes[0].endswith(b"\r\n\r\n")
    await exchange.app_send(body(b"hello"))
    assert wire.writes[1:] == [b"hello"]


async def test_the_last_answer_of_a_connection_is_written_before_it_closes() -> None:
    wire = Wire()
    exchange = await wire.asked()
    closing = KNOWN | {"headers": [*KNOWN["headers"], (b"connection", b"close")]}  # type: ignore[misc]  # as above
    await exchange.app_send(closing)  # type: ignore[arg-type]  # as above
    await exchange.app_send(body(b"hello"))
    assert wire.writes[0].endswith(b"hello")
    assert wire.is_closed


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        *(
            ((name, b"1"), "name")
            for name in (b"", b":status", b"a b", b"a:b", b"a\r\nx", b"\xe4", b"a\0b\nc")
        ),
        *(((b"a", value), "value") for value in (b"1\r\nb: 2", b"1\n2", b"1\r2", b"1\x002", b"1\nb\x002")),
    ],
)
async def test_a_head_that_is_not_valid_is_never_written(header: tuple[bytes, bytes], fault: str) -> None:
    wire = Wire()
    exchange = await wire.asked()
    await exchange.app_send(KNOWN | {"headers": [*KNOWN["headers"], header]})  # type: ignore[misc,arg-type]  # as above
    with pytest.raises(Exception, match=f"Illegal header {fault}"):
        await exchange.app_send(body(b"hello"))
    assert not wire.writes


async def test_a_length_that_is_no_number_is_never_written() -> None:
    wire = Wire()
    exchange = await wire.asked()
    await exchange.app_send(KNOWN | {"headers": [(b"content-length", b"five")]})  # type: ignore[arg-type]  # as above
    with pytest.raises(Exception, match="bad Content-Length"):
        await exchange.app_send(body(b"hello"))
    assert not wire.writes


def test_only_servers_of_ours_speak_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypercorn.protocol, H11Protocol.__name__, H11Protocol)
    install()
    rest = (WorkerContext(None), Group(), ConnectionState({}), False, None, None, Wire()._take)
    assert type(ProtocolWrapper(None, ServerConfig(75), *rest).protocol) is StrictProtocol  # type: ignore[arg-type]  # no application
    assert type(ProtocolWrapper(None, Config(), *rest).protocol) is H11Protocol  # type: ignore[arg-type]  # as above


def test_a_fault_between_head_and_body_is_answered_with_500(start: Start) -> None:
    assert (
        start()
        .raw(b"GET /broken/ HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n\r\n")
        .startswith(b"HTTP/1.1 500 ")
    )


@pytest.mark.parametrize("path", [b"/silent", b"/late"])
def test_the_head_of_a_stream_arrives_before_its_first_byte(start: Start, path: bytes) -> None:
    served = start(GRACE="0.2")
    with served.connect() as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: toy\r\n\r\n" % path)
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def exchange(connection: socket.socket, paths: list[bytes], mark: bytes) -> bytes:
    """Ask for all at once, so that the connection is not idle between them; what is answered up to a mark.

    Nothing where the connection was idle for too long before that, on a busy machine.
    """
    received = b""
    with suppress(ConnectionError):
        connection.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: toy\r\n\r\n" % path for path in paths))
        while mark not in received and (piece := connection.recv(65536)):
            received += piece
    # All of the first answer, and nothing of the second.
    is_cut_short = mark not in received and received.endswith(b"}")
    return b"" if is_cut_short else received


@pytest.mark.parametrize("paths", [[], [b"/"], [b"/", b"/slow?seconds=0"]])
def test_an_idle_connection_is_closed_after_its_time(start: Start, paths: list[bytes]) -> None:
    served = start(KEEP_ALIVE="0.5")

    def is_closed_after_its_answers() -> bool:
        with served.connect() as connection:
            if paths and not exchange(connection, paths, b"done" if paths[1:] else b"}"):
                return False
            assert read_all(connection) == b""
            return True

    until(is_closed_after_its_answers)
    assert served.process.poll() is None


def test_a_request_longer_than_the_idle_time_is_answered(start: Start) -> None:
    served = start(KEEP_ALIVE="0.5")

    def answer() -> bytes:
        with served.connect() as connection:
            return exchange(connection, [b"/", b"/slow?seconds=1"], b"done")

    assert until(answer).endswith(b"done")


def test_idle_connections_are_closed_when_the_process_ends(start: Start) -> None:
    served = start(GRACE="600")
    with served.connect() as used, served.connect() as unused:
        used.sendall(b"GET / HTTP/1.1\r\nHost: toy\r\n\r\n")
        read_until(used, b"}")
        served.signal()
        assert read_all(used) == read_all(unused) == b""
    assert served.wait() == 0
