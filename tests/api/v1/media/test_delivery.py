"""How a file is sent: conditions, ranges and what browsers are told (RFC 9110, sections 13 to 15)."""

from email import message_from_bytes
from email.message import Message

import httpx
import pytest

from tests.api.v1.media.answers import MEDIA, message, uploaded
from tests.samples import Samples


@pytest.fixture
async def url(client: httpx.AsyncClient, samples: Samples) -> str:
    """Of the content of `picture.jpg`."""
    return f"{MEDIA}/{(await uploaded(client, samples.data('picture.jpg')))['id']}/content"


async def test_several_ranges_are_parts_of_one_answer(
    client: httpx.AsyncClient, samples: Samples, url: str
) -> None:
    data = samples.data("picture.jpg")
    answer = await client.get(url, headers={"range": f"bytes=50-59,0-9,{len(data)}-"})
    assert answer.status_code == 206
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "content-range" not in answer.headers
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + answer.content).get_payload()
    assert isinstance(parts, list)
    found = []
    for part in parts:
        assert isinstance(part, Message)
        assert part["content-type"] == "image/jpeg"
        found.append((part["content-range"], part.get_payload(decode=True)))
    assert found == [
        (f"bytes 50-59/{len(data)}", data[50:60]),
        (f"bytes 0-9/{len(data)}", data[:10]),
    ]


async def test_ranges_that_overlap_send_no_byte_twice(
    client: httpx.AsyncClient, samples: Samples, url: str
) -> None:
    data = samples.data("picture.jpg")
    many = ",".join(f"{start}-" for start in range(90))
    answer = await client.get(url, headers={"range": f"bytes={many}"})
    assert (answer.status_code, answer.content) == (206, data)
    assert answer.headers["content-range"] == f"bytes 0-{len(data) - 1}/{len(data)}"


@pytest.mark.parametrize("field", ["bytes=0-9", "bytes=99999999-"])
async def test_a_head_request_has_no_range(
    client: httpx.AsyncClient, samples: Samples, url: str, field: str
) -> None:
    answer = await client.head(url, headers={"range": field})
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(samples.data("picture.jpg")))


async def test_if_range_takes_a_strong_validator_alone(client: httpx.AsyncClient, url: str) -> None:
    tag = (await client.head(url)).headers["etag"]
    for if_range, status in [
        (tag, 206),
        (f"W/{tag}", 200),
        ('"older"', 200),
        ("Wed, 25 Nov 2026 08:00:00 GMT", 200),
    ]:
        answer = await client.get(url, headers={"range": "bytes=0-9", "if-range": if_range})
        assert answer.status_code == status, if_range


async def test_conditions_count_before_ranges_in_their_order(client: httpx.AsyncClient, url: str) -> None:
    tag = (await client.head(url)).headers["etag"]
    behind = {"range": "bytes=99999999-"}
    for conditions, status in [
        ({"if-match": tag}, 416),
        ({"if-match": "*", "if-none-match": tag}, 304),
        ({"if-match": '"older"', "if-none-match": tag}, 412),
        ({"if-match": f"W/{tag}"}, 412),
        ({"if-match": f'"older", {tag}'}, 416),
        ({"if-none-match": '"older"', "if-range": '"older"'}, 200),
    ]:
        answer = await client.get(url, headers=behind | conditions)
        assert answer.status_code == status, conditions
        if status == 412:
            assert answer.json()["error"]["code"] == "precondition_failed"
            assert "If-Match" in message(answer)


async def test_what_a_current_copy_needs_is_told_again(client: httpx.AsyncClient, url: str) -> None:
    whole = await client.get(url)
    kept = await client.get(url, headers={"if-none-match": whole.headers["etag"]})
    assert kept.status_code == 304
    for name in (
        *("etag", "cache-control", "vary", "content-security-policy"),
        *("cross-origin-resource-policy", "x-content-type-options"),
    ):
        assert kept.headers[name] == whole.headers[name], name
    assert "content-type" not in kept.headers


async def test_when_a_file_came_is_not_told_for_equal_files_share_one(
    client: httpx.AsyncClient, url: str
) -> None:
    assert "last-modified" not in (await client.get(url)).headers


async def test_a_file_may_be_embedded_by_pages_of_this_site_alone(
    client: httpx.AsyncClient, url: str
) -> None:
    assert (await client.get(url)).headers["cross-origin-resource-policy"] == "same-site"


async def test_a_page_of_an_allowed_origin_may_read_what_a_range_is_of(
    client: httpx.AsyncClient, url: str
) -> None:
    headers = {"range": "bytes=0-9", "origin": "http://localhost:3000"}
    answer = await client.get(url, headers=headers)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"content-range", "accept-ranges", "content-disposition", "etag"} <= exposed
