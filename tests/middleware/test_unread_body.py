"""What becomes of a body that nobody read."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.middleware.unread_body import UnreadBody
from tests.middleware.asgi import Exchange, Reader, answer, chunks, http_scope, refuser
from tests.servers import DEADLINE

LARGE = ("Content-Length", "1000000")


def layer(app, linger: float = DEADLINE) -> UnreadBody:  # type: ignore[no-untyped-def]  # any ASGI application
    return UnreadBody(app, glance=DEADLINE, linger=linger)


async def test_a_read_body_keeps_the_connection() -> None:
    exchange = Exchange(chunks(b"x" * 10))
    await exchange.run(layer(Reader()), http_scope(("Content-Length", "10")))
    assert "connection" not in exchange.headers
    assert exchange.body == b"10"


async def test_a_short_unread_body_that_is_here_keeps_the_connection() -> None:
    exchange = Exchange(chunks(b"x" * 10))
    await exchange.run(layer(refuser), http_scope(("Content-Length", "10")))
    assert "connection" not in exchange.headers
    assert exchange.incoming.empty()


async def test_a_large_unread_body_closes_the_connection() -> None:
    exchange = Exchange(chunks(b"x" * 10))
    await exchange.run(layer(refuser), http_scope(LARGE))
    assert exchange.headers["connection"] == "close"
    assert exchange.body == b"no"


async def test_the_answer_is_out_before_the_rest_is_thrown_away() -> None:
    exchange = Exchange()

    async def client() -> None:
        while len(exchange.sent) < 2:
            await asyncio.sleep(0)
        for message in chunks(b"late"):
            exchange.incoming.put_nowait(message)

    await asyncio.gather(exchange.run(layer(refuser), http_scope(LARGE)), client())
    assert [message.get("more_body") for message in exchange.sent[1:]] == [True, False]
    assert exchange.incoming.empty()


async def test_a_sender_that_never_ends_is_cut_off() -> None:
    """A server that puts into a full queue, as Hypercorn does, must not wait for ever."""
    queue: asyncio.Queue[Message] = asyncio.Queue(1)
    sent: list[Message] = []
    ended = asyncio.Event()

    async def sender() -> None:
        while not ended.is_set():
            await queue.put({"type": "http.request", "body": b"x", "more_body": True})
            await asyncio.sleep(0)
        await queue.put({"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(layer(refuser, linger=0.05)(http_scope(LARGE), queue.get, send), sender())
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_sender_that_is_always_faster_is_cut_off() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"x", "more_body": True}

    exchange = Exchange()
    await layer(refuser, linger=0.01)(http_scope(LARGE), receive, exchange.send)
    assert exchange.body == b"no"


async def test_a_client_that_went_away_is_not_waited_for() -> None:
    exchange = Exchange([{"type": "http.disconnect"}])
    async with asyncio.timeout(DEADLINE):
        await exchange.run(layer(refuser, linger=10 * DEADLINE), http_scope(LARGE))
    assert exchange.body == b"no"


async def test_a_streamed_answer_passes_piece_by_piece() -> None:
    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"a", b"b"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"c"})

    exchange = Exchange(chunks(b"x"))
    await exchange.run(layer(stream), http_scope(("Transfer-Encoding", "chunked")))
    assert exchange.body == b"abc"
    assert exchange.headers["connection"] == "close"


async def test_a_connection_header_is_not_sent_twice() -> None:
    async def closing(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b"no", headers=[(b"connection", b"close")])

    exchange = Exchange(chunks(b"x"))
    await exchange.run(layer(closing), http_scope(LARGE))
    assert exchange.sent[0]["headers"] == [(b"connection", b"close")]


@pytest.mark.parametrize(
    "scope",
    [http_scope(), http_scope(("Content-Length", "0")), http_scope(LARGE, version="2"), {"type": "lifespan"}],
    ids=["none", "empty", "http2", "lifespan"],
)
async def test_without_a_body_nothing_is_put_in_between(scope: Scope) -> None:
    exchange, seen = Exchange(), []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        seen.append(receive)

    await layer(app)(scope, exchange.incoming.get, exchange.send)
    assert seen == [exchange.incoming.get]
