"""How much of a body is read, and how slowly it may come."""

import pytest
from starlette.types import Scope

from app.exceptions import BadRequestException, PayloadTooLargeException, RequestTimeoutException
from app.middleware import body
from app.middleware.body import BodyDeadline, BodyLimit, declared_length
from tests.middleware.asgi import Exchange, Reader, chunks, http_scope

UPLOAD = ("POST", "/upload")


@pytest.mark.parametrize(
    ("scope", "length"),
    [
        (http_scope(), 0),
        (http_scope(("Content-Length", "12")), 12),
        (http_scope(("Transfer-Encoding", "chunked")), None),
        (http_scope(version="2"), None),
        (http_scope(("Content-Length", "9" * 5000)), 10**18),
    ],
)
def test_declared_length(scope: Scope, length: int | None) -> None:
    assert declared_length(scope) == length


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "1")],
        [("Content-Length", "1"), ("Content-Length", "2")],
        [("Content-Length", "-1")],
        [("Content-Length", "")],
    ],
)
def test_ambiguous_framing_is_refused_and_closes(headers: list[tuple[str, str]]) -> None:
    """RFC 9112, section 6.3."""
    with pytest.raises(BadRequestException) as refused:
        declared_length(http_scope(*headers))
    assert refused.value.headers == {"Connection": "close"}


async def test_a_declared_body_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    reader, exchange = Reader(), Exchange(chunks(b"x" * 11))
    with pytest.raises(PayloadTooLargeException) as refused:
        await exchange.run(BodyLimit(reader, 10, {}), http_scope(("Content-Length", "11")))
    assert exchange.incoming.qsize() == 2
    assert refused.value.details == {"limit": 10}


@pytest.mark.parametrize(
    ("path", "is_taken"), [("/things/one", True), ("/things", False), ("/things/one/part", False)]
)
async def test_a_limit_of_a_folder_holds_for_what_is_in_it(path: str, is_taken: bool) -> None:
    reader, exchange = Reader(), Exchange(chunks(b"x" * 11))
    layer = BodyLimit(reader, 10, {("POST", "/things/"): 20})
    scope = http_scope(("Content-Length", "11"))
    scope.update(method="POST", path=path)
    if is_taken:
        await exchange.run(layer, scope)
    else:
        with pytest.raises(PayloadTooLargeException):
            await exchange.run(layer, scope)


async def test_a_body_without_a_length_is_counted_and_read_no_further() -> None:
    exchange = Exchange(chunks(b"x" * 6, b"x" * 6, b"x" * 6))
    with pytest.raises(PayloadTooLargeException):
        await exchange.run(BodyLimit(Reader(), 10, {}), http_scope(("Transfer-Encoding", "chunked")))
    assert exchange.incoming.qsize() == 2


async def test_a_body_that_is_longer_than_declared_is_counted_too() -> None:
    exchange = Exchange(chunks(b"x" * 11))
    with pytest.raises(PayloadTooLargeException):
        await exchange.run(BodyLimit(Reader(), 10, {}), http_scope(("Content-Length", "9")))


async def test_a_body_of_exactly_the_limit_passes() -> None:
    reader = Reader()
    await Exchange(chunks(b"x" * 10)).run(BodyLimit(reader, 10, {}), http_scope(("Content-Length", "10")))
    assert reader.size == 10


async def test_an_upload_has_its_own_limit() -> None:
    reader = Reader()
    scope = http_scope(("Content-Length", "50"), path="/upload")
    await Exchange(chunks(b"x" * 50)).run(BodyLimit(reader, 10, {UPLOAD: 60}), scope)
    assert reader.size == 50


async def test_the_upload_limit_holds_for_its_own_method_only() -> None:
    scope = http_scope(("Content-Length", "50"), path="/upload", method="PUT")
    with pytest.raises(PayloadTooLargeException):
        await Exchange(chunks(b"x" * 50)).run(BodyLimit(Reader(), 10, {UPLOAD: 60}), scope)


async def test_a_body_that_stops_coming_is_refused() -> None:
    layer = BodyDeadline(Reader(), idle=0.01, minimum_rate=1)
    exchange = Exchange([{"type": "http.request", "body": b"x", "more_body": True}])
    with pytest.raises(RequestTimeoutException):
        await exchange.run(layer, http_scope(("Content-Length", "10")))


class Clock:
    """Goes on by a second each time it is read."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


async def test_a_dripping_body_is_refused_after_its_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "monotonic", Clock())
    layer = BodyDeadline(Reader(), idle=60, minimum_rate=100, allowance=3)
    exchange = Exchange(chunks(*[b"x"] * 20))
    with pytest.raises(RequestTimeoutException, match="too slowly"):
        await exchange.run(layer, http_scope(("Content-Length", "20")))
    assert 20 - exchange.incoming.qsize() == 3  # one message a second: the fourth second is too late


async def test_a_body_at_the_minimum_rate_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "monotonic", Clock())
    reader = Reader()
    layer = BodyDeadline(reader, idle=60, minimum_rate=100, allowance=3)
    await Exchange(chunks(*[b"x" * 100] * 20)).run(layer, http_scope(("Content-Length", "2000")))
    assert reader.size == 2000


async def test_after_the_body_the_client_may_be_silent() -> None:
    """An answer that takes long waits for the end of the connection with the same ``receive``."""
    exchange = Exchange(chunks(b"x"))

    async def waiting(scope: Scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # ASGI's own shape
        while (await receive()).get("more_body"):
            pass
        exchange.incoming.put_nowait({"type": "http.disconnect"})
        assert (await receive())["type"] == "http.disconnect"

    await exchange.run(
        BodyDeadline(waiting, idle=0.0001, minimum_rate=1), http_scope(("Content-Length", "1"))
    )


@pytest.mark.parametrize("scope", [http_scope(), {"type": "lifespan"}], ids=["no body", "no request"])
async def test_without_a_body_nothing_is_put_in_between(scope: Scope) -> None:
    exchange, seen = Exchange(), []

    async def app(_scope: Scope, receive, _send) -> None:  # type: ignore[no-untyped-def]  # ASGI's own shape
        seen.append(receive)

    await BodyLimit(BodyDeadline(app, 1, 1), 1, {})(scope, exchange.incoming.get, exchange.send)
    assert seen == [exchange.incoming.get]
