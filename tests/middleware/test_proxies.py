"""Who is believed about where a request comes from."""

import pytest
from starlette.types import Receive, Scope, Send

from app.middleware.proxies import TrustedProxies
from tests.middleware.asgi import Exchange, http_scope

NETWORKS = ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")


async def seen(scope: Scope) -> Scope:
    """The scope that the application sees."""
    found: Scope = {}

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        found.update(scope)

    await Exchange().run(TrustedProxies(app, NETWORKS), scope)
    return found


def forwarded(*hops: str, client: str = "10.0.0.1") -> Scope:
    return http_scope(*(("X-Forwarded-For", hop) for hop in hops), client=client)


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        (("203.0.113.9",), "203.0.113.9"),
        (("203.0.113.9, 10.0.0.7",), "203.0.113.9"),
        (("203.0.113.9", "192.0.2.1"), "203.0.113.9"),
        (("6.6.6.6, 203.0.113.9, 10.0.0.7",), "203.0.113.9"),
        (("10.0.0.7",), "10.0.0.7"),
        (("::ffff:203.0.113.9",), "203.0.113.9"),
        (("[2001:db9::1]",), "2001:db9::1"),
        (("not an address",), "10.0.0.1"),
        ((), "10.0.0.1"),
    ],
    ids=[
        "one",
        "chain",
        "two headers",
        "forged left part",
        "all proxies",
        "mapped",
        "ipv6",
        "garbage",
        "none",
    ],
)
async def test_the_client_is_the_first_that_no_proxy_of_ours_is(hops: tuple[str, ...], client: str) -> None:
    assert (await seen(forwarded(*hops)))["client"][0] == client


async def test_nobody_else_is_believed() -> None:
    scope = http_scope(("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "https"), client="203.0.113.9")
    found = await seen(scope)
    assert (found["client"][0], found["scheme"]) == ("203.0.113.9", "http")


async def test_the_scheme_of_a_trusted_proxy_is_taken() -> None:
    assert (await seen(http_scope(("X-Forwarded-Proto", "HTTPS"), client="10.0.0.1")))["scheme"] == "https"


async def test_a_scheme_that_is_none_is_not_taken() -> None:
    scope = http_scope(("X-Forwarded-Proto", "javascript"), client="10.0.0.1")
    assert (await seen(scope))["scheme"] == "http"


async def test_a_private_socket_has_no_client() -> None:
    assert (await seen({**forwarded("203.0.113.9"), "client": None}))["client"] is None


async def test_a_client_that_is_no_address_is_nobody() -> None:
    assert (await seen(forwarded("203.0.113.9", client="testclient")))["client"][0] == "testclient"
