"""Nothing outside the folder, and nothing hidden in it, can be reached."""

import os
from pathlib import Path
from typing import Any

import pytest

from app.api.frontend import files
from app.api.frontend.files import Frontend
from app.api.frontend.policy import PagePolicy
from tests.api.frontend.conftest import Make
from tests.middleware.asgi import Exchange, answer, http_scope, pass_other_types


async def elsewhere(_scope: Any, _receive: Any, send: Any) -> None:
    await answer(send, b"elsewhere")


@pytest.fixture
def frontend(folder: Path, make: Make) -> Frontend:
    return Frontend(folder, PagePolicy(make()), otherwise=elsewhere)


async def get(frontend: Frontend, path: str, accept: str = "text/html") -> bytes:
    exchange = Exchange()
    await exchange.run(frontend, http_scope(("accept", accept), method="GET", path=path))
    return exchange.body


@pytest.mark.parametrize(
    "path",
    [
        "/../secret", "/assets/../../secret", "/./../secret", "//../secret", "/..", "/.", "/about/..",
        "/..\\secret", "\\..\\secret", "/assets\\..\\..\\secret", "/secret\0.html", "/index.html\0", "/a\nb",
        "/.env", "/.git/config", "/about/.hidden", "/.well-known/../.env",
    ],
)  # fmt: skip
async def test_v2_a_path_that_is_made_to_escape_is_not_ours(frontend: Frontend, path: str) -> None:
    assert await get(frontend, path) == b"elsewhere"


@pytest.mark.parametrize(
    "path", ["/way-out", "/folder-out/secret", "/folder-out/dist/index.html/x", "/%2e%2e/secret"]
)
async def test_v2_a_link_that_leads_out_is_not_followed(frontend: Frontend, path: str) -> None:
    assert await get(frontend, path, accept="image/png") == b"elsewhere"


async def test_v2_an_absolute_path_starts_in_the_folder(frontend: Frontend, tmp_path: Path) -> None:
    assert await get(frontend, f"/{tmp_path / 'secret'}", accept="image/png") == b"elsewhere"


@pytest.mark.parametrize("path", ["/" + "x" * 300, "/loop", "/pipe"])
async def test_v2_what_is_no_file_is_not_there(frontend: Frontend, folder: Path, path: str) -> None:
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    assert await get(frontend, path, accept="image/png") == b"elsewhere"


async def test_v2_what_may_not_be_read_is_not_there(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> tuple[str, os.stat_result | None]:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(frontend, "lookup_path", refuse)
    assert await get(frontend, "/favicon.svg", accept="image/png") == b"elsewhere"


async def test_v2_a_name_that_cannot_be_is_not_there(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_may_be_ours", lambda _path: True)
    assert await get(frontend, "/a\0b", accept="image/png") == b"elsewhere"


async def test_v2_a_disk_that_fails_is_no_missing_file(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: str) -> tuple[str, os.stat_result | None]:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(frontend, "lookup_path", fail)
    with pytest.raises(OSError, match="input/output"):
        await get(frontend, "/favicon.svg")


async def test_other_types_of_connections_pass(folder: Path, make: Make) -> None:
    seen: list[str] = []

    async def note(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    await pass_other_types(Frontend(folder, PagePolicy(make()), otherwise=note), seen)
