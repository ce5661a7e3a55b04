"""A person in front of a page: logs in, uploads a film, sees how far it is, and watches it."""

import re
import secrets
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest

from app.core.config import load_settings
from tests.accounts import ADMIN, bearer
from tests.browser import Page, browsing, find_browser
from tests.configuration import NOWHERE
from tests.stack.harness import Stack

pytestmark = pytest.mark.stack

PAGE: Final = re.search(
    "```html\n(.*?)```", (Path(__file__).parents[2] / "docs" / "API.md").read_text("utf-8"), re.DOTALL
)
BROWSER: Final = find_browser()
PASSWORD: Final = "correct horse battery"


@pytest.fixture
def origin(stack: Stack) -> Iterator[str]:
    """The origin that the example page of docs/API.md is served from: not that of the API."""
    assert PAGE is not None
    page = PAGE[1].encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.startswith("/?") else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", urlsplit(stack.origin).port or 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield stack.origin
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def email(stack: Stack) -> str:
    """Of an account with PASSWORD."""
    settings = load_settings(stack.environment, directory=NOWHERE)
    address = f"{secrets.token_hex(6)}@example.com"
    new = {"email": address, "role": "user"}
    made = stack.client.post("/api/v1/admin/users", json=new, headers=bearer(settings, ADMIN)).json()
    login = {"email": address, "password": made["one_time_password"]}
    token = stack.client.post("/api/v1/auth/login", json=login).json()["access_token"]
    change = {"current_password": made["one_time_password"], "new_password": PASSWORD}
    answer = stack.client.post(
        "/api/v1/auth/password", json=change, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 204, answer.text
    return address


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    if BROWSER is None:
        pytest.skip("there is no Chromium on this machine: install Debian's package `chromium`")
    with browsing(BROWSER, tmp_path) as page:
        yield page


@pytest.fixture
def worker(stack: Stack) -> Iterator[Callable[[str], object]]:
    """Stops and starts the worker, which runs again at the end in any case."""
    yield lambda verb: stack.supervisorctl(verb, "worker")
    stack.supervisorctl("start", "worker")


def test_a_page_uploads_a_film_sees_its_progress_and_plays_its_preview(
    *, stack: Stack, origin: str, email: str, page: Page, worker: Callable[[str], object], video: Path
) -> None:
    page.call("Page.navigate", url=f"{origin}/?api={quote(f'{stack.url}/api/v1')}")
    page.wait("document.querySelector('form')?.file && document.readyState === 'complete'")
    page.evaluate(f"form = document.querySelector('form'); form.email.value = '{email}'")
    page.evaluate(f"form.password.value = '{PASSWORD}'")
    page.choose("input[type=file]", video)
    worker("stop")  # so that the page is there before its job ends
    page.evaluate(
        "shown = []; said = document.querySelector('output');"
        "new MutationObserver(changes => changes.forEach(change => change.addedNodes.forEach("
        "node => shown.push(node.data)))).observe(said, {childList: true});"
        "film = document.querySelector('video'); form.requestSubmit()"
    )

    page.wait("said.value")
    worker("start")
    page.wait("film.src || !/^(queued|running|retrying|succeeded)/.test(said.value)", timeout=120)
    shown = page.evaluate("shown")
    assert shown[0].startswith("queued"), shown
    assert any(words.startswith("running") for words in shown), shown
    assert shown[-1].startswith("succeeded"), shown
    streams = [answered for answered in answers(page) if answered["mimeType"] == "text/event-stream"]
    assert {urlsplit(stream["url"]).path.rpartition("/")[2] for stream in streams} == {"events"}

    page.wait("film.videoWidth > 0")
    page.evaluate("film.muted = true; film.play()")
    page.wait("film.currentTime > 0.5")
    films = [answered for answered in answers(page) if "?signature=" in answered["url"]]
    assert films
    assert {(film["status"], urlsplit(film["url"]).path.rpartition("/")[2]) for film in films} == {
        (206, "preview")
    }
    log = [added["entry"] for added in page.happened("Log.entryAdded")]
    assert [entry for entry in log if entry["level"] == "error"] == []
    assert page.happened("Runtime.exceptionThrown") == []


def answers(page: Page) -> list[dict[str, Any]]:
    """What the browser got, in the order in which it did."""
    return [event["response"] for event in page.happened("Network.responseReceived")]
