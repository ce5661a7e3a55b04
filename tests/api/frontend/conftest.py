"""A built front end, an application that serves it, and one that is driven by hand."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.core.config import AppSettings
from tests.configuration import make_settings
from tests.serving import NOBODY, serve

INLINE = "window.theme = 'dark';\r\n"
INDEX = f"""<!doctype html><html><head><title>Front end</title>
<script>{INLINE}</script>
<script type="module" src="/assets/app-3f9a1c.js"></script>
</head><body>{"<p>text</p>" * 60}</body></html>"""

Make = Callable[..., AppSettings]
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that a build tool leaves; beside it what nobody may see."""
    folder = tmp_path / "dist"
    for name, text in {
        "index.html": INDEX,
        "favicon.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "about/index.html": "<h1>About</h1>",
        ".well-known/security.txt": "Contact: mailto:x@example.org",
        ".env": "SECRET=hidden",
        "api/v1/ping": "not the API",
        "assets/app-3f9a1c.js": "export const answer = 42;\n" * 40,
        "assets/font-77.woff2": "f" * 1000,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")
    (tmp_path / "secret").write_text("hidden")
    (folder / "way-out").symlink_to(tmp_path / "secret")
    (folder / "folder-out").symlink_to(tmp_path)
    return folder


@pytest.fixture
def make(folder: Path, tmp_path: Path) -> Make:
    def make(**values: str) -> AppSettings:
        chosen = {"ENABLE_STATIC_FILES": "true", "FRONTEND_DIR": str(folder)} | values
        database, redis = f"postgresql://nobody@{NOBODY}/none", f"redis://{NOBODY}"
        return make_settings(tmp_path / "state", database, redis, **chosen)

    return make


@pytest.fixture
def served(make: Make) -> Serve:
    @asynccontextmanager
    async def served(**values: str) -> AsyncIterator[httpx.AsyncClient]:
        async with serve(make(**values)) as http:
            yield http

    return served


@pytest.fixture
async def http(served: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with served() as http:
        yield http
