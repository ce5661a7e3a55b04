"""What a tus client sends, and how tests read what it is told."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx

UPLOADS = "/api/v1/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


def metadata(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


async def create(client: httpx.AsyncClient, length: int, data: bytes = b"", **headers: str) -> httpx.Response:
    given = (PIECE if data else TUS) | {"Upload-Length": str(length)} | headers
    return await client.post(UPLOADS, headers=given, content=data)


async def begun(client: httpx.AsyncClient, length: int, data: bytes = b"", name: str = "clip.mp4") -> str:
    """The address of an upload that was accepted."""
    answer = await create(client, length, data, **{"Upload-Metadata": metadata(filename=name)})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def send(
    client: httpx.AsyncClient, url: str, offset: int, data: bytes | AsyncIterator[bytes], **headers: str
) -> httpx.Response:
    given = PIECE | {"Upload-Offset": str(offset)} | headers
    return await client.patch(url, headers=given, content=data)


async def offset_of(client: httpx.AsyncClient, url: str) -> int:
    answer = await client.head(url, headers=TUS)
    assert answer.status_code == 200, answer.status_code
    return int(answer.headers["upload-offset"])


def code(answer: httpx.Response) -> Any:
    return answer.json()["error"]["code"]
