"""Answers in fewer bytes, where that tells nobody a secret."""

import gzip

import brotli  # type: ignore[import-untyped]  # it carries none
import httpx
import pytest
import zstandard
from starlette.types import Receive, Scope, Send

from app.middleware.compression import MINIMUM_SIZE, Compression
from tests.middleware.asgi import Exchange, http_scope, pass_other_types
from tests.middleware.test_layers import access_lines

LONG = b'{"text": "' + b"a" * 2000 + b'"}'
ALL = "gzip, deflate, br, zstd"
OPEN = {"gzip": gzip.decompress, "br": brotli.decompress}


class Answering:
    """An application that answers with these headers and this body."""

    def __init__(
        self, *headers: tuple[str, str], body: bytes = LONG, status: int = 200, pieces: int = 1
    ) -> None:
        given = dict(headers)
        given.setdefault("content-type", "application/json")
        self.headers = [(name.encode(), value.encode()) for name, value in given.items()]
        self.body, self.status, self.pieces = body, status, pieces

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [*self.headers, (b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        size = -(-len(self.body) // self.pieces)
        for number in range(self.pieces):
            piece = self.body[number * size : (number + 1) * size]
            await send({"type": "http.response.body", "body": piece, "more_body": number < self.pieces - 1})


async def ask(
    app: Answering, accept: str | None = ALL, *, path: str = "/api/v1/jobs", method: str = "GET"
) -> Exchange:
    exchange = Exchange()
    given = [("Accept-Encoding", accept)] if accept is not None else []
    await exchange.run(Compression(app), http_scope(*given, path=path, method=method))
    return exchange


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (ALL, "zstd"),
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("zstd;q=0, *", "br"),
        ("GZIP", "gzip"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 3])
async def test_t6_an_answer_is_compressed_as_the_client_accepts(
    accept: str, coding: str, pieces: int
) -> None:
    exchange = await ask(Answering(pieces=pieces), accept)
    assert exchange.headers["content-encoding"] == coding
    assert len(exchange.body) < len(LONG) / 4
    if coding == "zstd":
        assert zstandard.ZstdDecompressor().decompressobj().decompress(exchange.body) == LONG
    else:
        assert OPEN[coding](exchange.body) == LONG
    assert exchange.headers.get("content-length", str(len(exchange.body))) == str(len(exchange.body))


@pytest.mark.parametrize(
    "accept", [None, "", "identity", "deflate", "gzip;q=0", "zstd;q=0, br;q=0, gzip;q=0"]
)
async def test_who_accepts_none_gets_it_as_it_is(accept: str | None) -> None:
    exchange = await ask(Answering(), accept)
    assert "content-encoding" not in exchange.headers
    assert exchange.body == LONG


@pytest.mark.parametrize("accept", [None, ALL])
async def test_caches_keep_answers_apart_by_what_is_accepted(accept: str | None) -> None:
    exchange = await ask(Answering(("vary", "Origin")), accept)
    assert exchange.headers["vary"] == "Origin, Accept-Encoding"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/problem+json",
        "text/html; charset=utf-8",
        "text/css",
        "text/javascript",
        "image/svg+xml",
        "Text/Plain",
    ],
)
async def test_text_is_compressed(media_type: str) -> None:
    assert "content-encoding" in (await ask(Answering(("content-type", media_type)))).headers


@pytest.mark.parametrize(
    "media_type", ["image/jpeg", "video/mp4", "text/event-stream", "application/octet-stream"]
)
async def test_what_does_not_get_smaller_or_must_not_wait_is_not(media_type: str) -> None:
    exchange = await ask(Answering(("content-type", media_type)))
    assert "content-encoding" not in exchange.headers
    assert exchange.body == LONG


@pytest.mark.parametrize(
    "header",
    [
        ("set-cookie", "a=b"),
        ("cache-control", "no-store"),
        ("cache-control", "private, no-store"),
        ("cache-control", "no-transform"),
        ("content-range", "bytes 0-9/10"),
    ],
)
async def test_an_answer_whose_headers_forbid_it_is_not(header: tuple[str, str]) -> None:
    exchange = await ask(Answering(header))
    assert "content-encoding" not in exchange.headers
    assert exchange.body == LONG


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/auth/login",
        "/api/v1/sessions",
        "/api/v1/api-keys",
        "/api/v1/users/me",
        "/api/v1/users/me/export",
        "/api/v1/admin/users",
        "/api/v1/media/01900000-0000-7000-8000-000000000001/content",
    ],
)
async def test_what_mixes_secrets_with_input_is_not(path: str) -> None:
    """Else its length would tell the secret letter by letter (BREACH)."""
    exchange = await ask(Answering(), path=path)
    assert "content-encoding" not in exchange.headers
    assert exchange.body == LONG


async def test_a_list_of_media_is_compressed() -> None:
    for path in ("/api/v1/media", "/api/v1/media/01900000-0000-7000-8000-000000000001"):
        assert "content-encoding" in (await ask(Answering(), path=path)).headers


async def test_a_part_of_a_file_is_not() -> None:
    assert "content-encoding" not in (await ask(Answering(status=206))).headers


async def test_the_answer_to_head_is_not() -> None:
    exchange = await ask(Answering(), method="HEAD")
    assert "content-encoding" not in exchange.headers
    assert exchange.headers["content-length"] == str(len(LONG))


async def test_what_is_short_is_not() -> None:
    exchange = await ask(Answering(body=b"a" * (MINIMUM_SIZE - 1)))
    assert "content-encoding" not in exchange.headers


async def test_what_is_encoded_already_is_not() -> None:
    exchange = await ask(Answering(("content-encoding", "gzip"), body=b"x" * 2000))
    assert exchange.headers["content-encoding"] == "gzip"
    assert exchange.body == b"x" * 2000


@pytest.mark.parametrize("tag", ['"abc"', 'W/"abc"'])
async def test_the_tag_of_a_compressed_answer_is_weak(tag: str) -> None:
    """RFC 9110, section 8.8.1: it is not the same byte by byte."""
    exchange = await ask(Answering(("etag", tag), ("accept-ranges", "bytes")))
    assert exchange.headers["etag"] == 'W/"abc"'
    assert "accept-ranges" not in exchange.headers


async def test_the_tag_of_another_answer_stays() -> None:
    exchange = await ask(Answering(("etag", '"abc"'), ("accept-ranges", "bytes")), None)
    assert (exchange.headers["etag"], exchange.headers["accept-ranges"]) == ('"abc"', "bytes")


async def test_what_is_no_request_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    await pass_other_types(Compression(app), seen)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs/assets/swagger-ui-bundle.js", "/docs"])
async def test_the_documentation_comes_compressed(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(path, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = await anonymous.get(path, headers={"Accept-Encoding": "identity"})
    assert answer.text == plain.text


async def test_the_access_log_counts_what_is_sent(
    anonymous: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    async with anonymous.stream("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"}) as answer:
        sent = sum([len(part) async for part in answer.aiter_raw()])
    (line,) = access_lines(capfd.readouterr().out)
    assert (line["bytes"], line["route"]) == (sent, "/openapi.json")


async def test_long_errors_come_compressed_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere/" + "x" * 900, headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 404
    assert answer.headers["Content-Encoding"] == "gzip"
