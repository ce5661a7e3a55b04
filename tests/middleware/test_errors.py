"""The last place where an error can become an answer."""

import pytest
from starlette.types import Receive, Scope, Send

from app.core.drain import Drain
from app.middleware.access_log import AccessLog
from app.middleware.cors import Cors
from app.middleware.draining import Draining
from app.middleware.errors import Errors
from app.middleware.hosts import TrustedHosts, host_name
from app.middleware.request_id import RequestId
from app.middleware.security_headers import SecurityHeaders
from app.services.metrics import Metrics
from tests.middleware.asgi import Exchange, answer, http_scope, pass_other_types


async def crash(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError


async def crash_late(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError


async def test_an_error_becomes_an_answer() -> None:
    exchange = Exchange()
    await exchange.run(Errors(crash), http_scope())
    assert exchange.status == 500


async def test_an_error_after_the_start_of_the_answer_goes_to_the_server() -> None:
    exchange = Exchange()
    with pytest.raises(RuntimeError):
        await exchange.run(Errors(crash_late), http_scope())
    assert len(exchange.sent) == 1


async def test_http2_has_no_connection_header() -> None:
    """RFC 9113, section 8.2.2."""
    drain = Drain()
    drain.start()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b"")

    exchange = Exchange()
    await exchange.run(Draining(app, drain), http_scope(version="2"))
    assert exchange.headers == {}


@pytest.mark.parametrize(
    ("given", "name"),
    [("Example.ORG:8000", "example.org"), ("[::1]:8000", "[::1]"), ("localhost", "localhost"), ("", "")],
)
def test_the_name_in_a_host(given: str, name: str) -> None:
    assert host_name(http_scope(("Host", given))) == name


def test_without_a_host_there_is_no_name() -> None:
    assert host_name(http_scope()) == ""


async def test_what_is_no_request_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    layers = RequestId(AccessLog(SecurityHeaders(app, production=True), Metrics().requests))
    await pass_other_types(TrustedHosts(Errors(Draining(Cors(layers), Drain())), ("x",)), seen)
