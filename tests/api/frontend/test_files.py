"""The front end's files: precedence, fallback, caching (V2)."""

import os
from pathlib import Path

import httpx
import pytest

from app.api.frontend.files import FOREVER
from app.core.config import ConfigurationError
from tests.api.frontend.conftest import INDEX, Make, Serve

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SCRIPT = "/assets/app-3f9a1c.js"


@pytest.mark.parametrize(
    "path", ["/", "/login", "/memories/2026/11", "/users/jane.doe", "/apiary", "/index.html"]
)
async def test_v2_a_navigation_gets_the_first_page(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers=PAGE)
    assert (answer.status_code, answer.content) == (200, INDEX.encode())
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("accept", ["*/*", None])
async def test_v2_who_takes_anything_gets_the_first_page_too(
    http: httpx.AsyncClient, accept: str | None
) -> None:
    del http.headers["Accept"]
    answer = await http.get("/login", headers={"Accept": accept} if accept else None)
    assert answer.content == INDEX.encode()


@pytest.mark.parametrize(
    ("path", "accept"),
    [("/logo.png", "image/avif,*/*;q=0.8"), ("/app.js", "*/*"), ("/login", "application/json")],
)
async def test_v2_what_is_no_navigation_gets_no_page(http: httpx.AsyncClient, path: str, accept: str) -> None:
    answer = await http.get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/v1/nowhere", "//api/x", "/health/x", "/ready/x", "/metrics/x", "/docs/x", "/redoc/x"],
)
async def test_v2_an_unknown_path_of_the_system_stays_an_error(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"http://localhost{path}", headers=PAGE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/api/v1/ping", "/health/live", "/openapi.json"])
async def test_v2_the_system_comes_first(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers=PAGE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")


async def test_v2_a_wrong_method_stays_405(http: httpx.AsyncClient) -> None:
    assert (await http.delete("/api/v1/ping")).status_code == 405


async def test_v2_only_reading_is_the_front_ends(http: httpx.AsyncClient) -> None:
    assert (await http.post("/login", headers=PAGE)).status_code == 404


async def test_v2_an_asset_is_kept_for_a_year(http: httpx.AsyncClient) -> None:
    answer = await http.get(SCRIPT)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert (await http.get("/assets/font-77.woff2")).headers["Content-Type"] == "font/woff2"


@pytest.mark.parametrize("path", ["/assets/old-1.js", "/assets/", "/assets/deep/er"])
async def test_v2_a_missing_asset_is_no_page_and_not_remembered(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers=PAGE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("slashes", ["//", "///"])
async def test_v2_doubled_slashes_make_no_page_of_an_asset(http: httpx.AsyncClient, slashes: str) -> None:
    found = await http.get(f"http://localhost{slashes}assets/app-3f9a1c.js", headers=PAGE)
    assert (found.status_code, found.headers["Cache-Control"]) == (200, FOREVER)
    missing = await http.get(f"http://localhost{slashes}assets/old-1.js", headers=PAGE)
    assert (missing.status_code, missing.headers["Cache-Control"]) == (404, "no-store")


async def test_v2_a_folder_of_assets_has_no_first_page(http: httpx.AsyncClient, folder: Path) -> None:
    (folder / "assets" / "index.html").write_text("<h1>Assets</h1>")
    answer = await http.get("/assets/", headers=PAGE)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-store")


async def test_v2_what_has_no_hash_in_its_name_is_asked_about(http: httpx.AsyncClient) -> None:
    for path in ("/favicon.svg", "/.well-known/security.txt"):
        answer = await http.get(path)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


async def test_v2_a_folder_is_its_own_first_page(http: httpx.AsyncClient) -> None:
    for path in ("/about", "/about/"):
        assert (await http.get(path)).text == "<h1>About</h1>"


async def test_v2_what_has_not_changed_is_not_sent_twice(http: httpx.AsyncClient) -> None:
    first = await http.get("/login", headers=PAGE | {"Accept-Encoding": "identity"})
    for tag in (first.headers["ETag"], "W/" + first.headers["ETag"]):
        again = await http.get("/login", headers=PAGE | {"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        # A browser puts these over what it has kept: a stricter policy would stop its page.
        for name in ("ETag", "Cache-Control", "Content-Security-Policy", "Permissions-Policy"):
            assert again.headers[name] == first.headers[name]


async def test_v2_a_page_of_the_same_size_and_time_has_another_tag(
    http: httpx.AsyncClient, folder: Path
) -> None:
    page = folder / "index.html"
    os.utime(page, (1, 1))
    before = (await http.get("/", headers=PAGE)).headers["ETag"]
    (folder / "new.html").write_bytes(page.read_bytes().replace(b"text", b"TEXT"))
    os.utime(folder / "new.html", (1, 1))
    (folder / "new.html").rename(page)
    assert (await http.get("/", headers=PAGE)).headers["ETag"] != before


async def test_v2_head_answers_without_the_file(http: httpx.AsyncClient) -> None:
    answer = await http.head(SCRIPT)
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "1040")


async def test_v2_a_range_is_a_part(http: httpx.AsyncClient) -> None:
    answer = await http.get(SCRIPT, headers={"Range": "bytes=0-5"})
    assert (answer.status_code, answer.text) == (206, "export")
    assert (await http.get(SCRIPT, headers={"Range": "bytes=x"})).status_code == 200
    outside = await http.get(SCRIPT, headers={"Range": "bytes=9999-"})
    assert (outside.status_code, outside.json()["error"]["code"]) == (416, "range_not_satisfiable")


async def test_v2_text_is_compressed(http: httpx.AsyncClient) -> None:
    answer = await http.get(SCRIPT, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    font = await http.get("/assets/font-77.woff2", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in font.headers


@pytest.mark.usefixtures("one_window")
async def test_v2_assets_do_not_use_up_a_limit(served: Serve) -> None:
    async with served(RATE_LIMIT_DEFAULT="1/day") as http:
        assert [(await http.get(SCRIPT)).status_code for _ in range(3)] == [200, 200, 200]
        assert [(await http.get("/", headers=PAGE)).status_code for _ in range(2)] == [200, 429]


@pytest.mark.usefixtures("one_window")
async def test_v2_off_unless_it_is_switched_on(served: Serve) -> None:
    async with served(ENABLE_STATIC_FILES="false", RATE_LIMIT_DEFAULT="1/day") as http:
        assert (await http.get(SCRIPT)).status_code == 404
        assert (await http.get(SCRIPT)).status_code == 429


@pytest.mark.parametrize("harm", ["no folder", "no page"])
def test_v2_a_folder_that_cannot_be_served_is_a_fault(make: Make, folder: Path, harm: str) -> None:
    (folder / "index.html").unlink()
    chosen = str(folder) if harm == "no page" else str(folder / "nowhere")
    with pytest.raises(ConfigurationError) as caught:
        make(FRONTEND_DIR=chosen)
    assert [fault.name for fault in caught.value.faults] == ["FRONTEND_DIR"]
    assert ("index.html that can be read" if harm == "no page" else "no folder") in str(caught.value)


def test_v2_who_does_not_serve_needs_no_folder(make: Make, folder: Path) -> None:
    assert make(FRONTEND_DIR=str(folder / "nowhere"), ROLE="worker").enable_static_files
