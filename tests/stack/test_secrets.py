"""Whatever somebody sends, or is given, that is secret: no line of any program's log has it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from app.core.config import load_settings
from tests.accounts import ADMIN, bearer
from tests.configuration import NOWHERE
from tests.samples import png
from tests.servers import plain, wait_for
from tests.stack.harness import Stack

pytestmark = pytest.mark.stack

AUTH = "/api/v1/auth"


class Planter:
    """Makes secrets, sends them, and remembers them together with those that were answered."""

    def __init__(self, stack: Stack) -> None:
        self.settings = load_settings(stack.environment, directory=NOWHERE)
        self.client = httpx.Client(base_url=stack.url, timeout=120)
        self.secrets: list[str] = []
        self.statuses: set[int] = set()

    def word(self) -> str:
        """A new secret, as somebody could choose it."""
        return self.known(f"planted{secrets.token_hex(10)}")

    def known(self, secret: str) -> str:
        """Remember one that was answered."""
        self.secrets.append(secret)
        return secret

    def send(self, method: str, path: str, **request: object) -> httpx.Response:
        """Send a request, whatever comes of it."""
        answer = self.client.request(method, path, **request)  # type: ignore[arg-type]
        self.client.cookies.clear()
        self.statuses.add(answer.status_code)
        return answer

    @contextmanager
    def without(self, table: str) -> Iterator[None]:
        """Take a table away, so that what needs it breaks."""
        address = plain(self.settings.database.url.get_secret_value())
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO {table}_away".encode())
            try:
                yield
            finally:
                connection.execute(f"ALTER TABLE {table}_away RENAME TO {table}".encode())


@pytest.fixture
def planter(stack: Stack) -> Iterator[Planter]:
    planter = Planter(stack)
    yield planter
    planter.client.close()


def test_no_secret_of_any_request_or_answer_stands_in_the_log(stack: Stack, planter: Planter) -> None:
    send_guesses(planter)
    login = live_with_an_account(planter)
    send_invalid(planter, login)
    break_things(planter, login)
    assert {200, 201, 204, 400, 401, 403, 409, 422, 500} <= planter.statuses

    last = planter.send("GET", "/api/v1/ping", headers={"X-Request-ID": "after-all-secrets"})
    assert last.status_code == 200
    wait_for(lambda: "after-all-secrets" in stack.log.read_text("utf-8"), what="the last line")
    log = stack.log.read_text("utf-8")
    assert len(planter.secrets) > 25
    assert [secret for secret in planter.secrets if secret in log] == []
    assert stack.environment["SECRET_KEY"] not in log


def send_guesses(planter: Planter) -> None:
    """What strangers try."""
    word, post = planter.word, planter.send
    post("POST", f"{AUTH}/login", json={"email": "a@example.com", "password": word()})
    post("POST", f"{AUTH}/token", data={"username": "a@example.com", "password": word()})
    post("POST", f"{AUTH}/refresh", json={"refresh_token": word()})
    post("POST", f"{AUTH}/refresh", headers={"Cookie": f"holdfast_refresh={word()}"})
    post(
        "POST", f"{AUTH}/register", json={"email": f"{secrets.token_hex(4)}@example.com", "password": word()}
    )
    post("POST", f"{AUTH}/password/reset", json={"token": word(), "password": word()})
    post("POST", f"{AUTH}/verify-email", json={"token": word(), "password": word()})
    for headers in (
        {"Authorization": f"Bearer {word()}"},
        {"Authorization": f"Basic {word()}"},
        {"X-API-Key": f"hfk_{word()}"},
        {"Cookie": f"holdfast_access={word()}; other={word()}"},
        {"X-CSRF-Token": word(), "Cookie": f"holdfast_access={word()}"},
    ):
        post("GET", f"/api/v1/users/me?token={word()}&password={word()}", headers=headers)


def live_with_an_account(planter: Planter) -> dict[str, str]:
    """Made by an administrator, at a first login, with a new password, a key and a session by cookie."""
    send, known = planter.send, planter.known
    admin = bearer(planter.settings, ADMIN) | {"Idempotency-Key": planter.word()}
    email = f"{secrets.token_hex(6)}@example.com"
    made = send("POST", "/api/v1/admin/users", json={"email": email, "role": "user"}, headers=admin)
    given = {"email": email, "password": known(made.json()["one_time_password"])}
    tokens = send("POST", f"{AUTH}/login", json=given).json()
    login = {"Authorization": f"Bearer {known(tokens['access_token'])}"}
    send("GET", "/api/v1/media", headers=login)
    change = {"current_password": given["password"], "new_password": planter.word()}
    assert send("POST", f"{AUTH}/password", json=change, headers=login).status_code == 204
    fresh = send("POST", f"{AUTH}/refresh", json={"refresh_token": known(tokens["refresh_token"])}).json()
    login = {"Authorization": f"Bearer {known(fresh['access_token'])}"}
    known(fresh["refresh_token"])
    wanted = {"name": "robot", "scopes": ["media:read"]}
    again = login | {"Idempotency-Key": planter.word()}
    for body in (wanted, wanted, wanted | {"name": "another"}):
        answer = send("POST", "/api/v1/api-keys", json=body, headers=again)
    assert answer.status_code == 409
    key = known(send("POST", "/api/v1/api-keys", json=wanted, headers=login).json()["key"])
    follow_links(planter, login)
    assert send("GET", "/api/v1/media", headers={"X-API-Key": key}).status_code == 200
    by_cookie = given | {"password": change["new_password"], "cookie": True}
    answered = planter.client.post(f"{AUTH}/login", json=by_cookie)
    known(answered.json()["csrf_token"])
    for value in answered.cookies.values():
        known(value)
    assert planter.client.get("/api/v1/users/me").status_code == 200
    planter.client.cookies.clear()
    return login


def follow_links(planter: Planter, login: dict[str, str]) -> None:
    """To a file, by a real signature and by a guessed one."""
    media = planter.send("POST", "/api/v1/media", content=png(8, 8), headers=login).json()
    place = f"/api/v1/media/{media['id']}"
    made = planter.send("POST", f"{place}/links", json={"rendition": "content"}, headers=login).json()
    planter.known(made["url"].partition("signature=")[2])
    assert planter.send("GET", made["url"]).status_code == 200
    assert planter.send("GET", f"{place}/content?signature={planter.word()}").status_code == 401
    planter.send("GET", f"/nowhere?signature={planter.word()}")


def send_invalid(planter: Planter, login: dict[str, str]) -> None:
    """Bodies that are refused, each with a secret in it."""
    word, send = planter.word, planter.send
    for body in (
        {"email": "a@example.com", "password": [word()]},
        {"email": word(), "password": word()},
        {"email": "a@example.com", "password": word() * 40},
        {"email": "a@example.com", "password": "x", word(): "unknown"},
        {"password": {"nested": word()}},
    ):
        send("POST", f"{AUTH}/login", json=body)
    send(
        "POST",
        f"{AUTH}/login",
        content=f'{{"password": "{word()}"',
        headers={"Content-Type": "application/json"},
    )
    send("POST", f"{AUTH}/login", content=word().encode(), headers={"Content-Type": "text/plain"})
    send("POST", f"{AUTH}/password", json={"current_password": word(), "new_password": word()}, headers=login)
    send("POST", "/api/v1/media", content=word().encode(), headers=login)
    malformed = login | {"Idempotency-Key": f"{word()} {word()}"}
    send("POST", "/api/v1/api-keys", json={"name": "a", "scopes": ["media:read"]}, headers=malformed)


def break_things(planter: Planter, login: dict[str, str]) -> None:
    """Requests with secrets that end in a traceback."""
    word, send = planter.word, planter.send
    with planter.without("api_keys"):
        broken = send(
            "GET", "/api/v1/media", headers={"X-API-Key": f"hfk_{word() + word()}"[:47].ljust(47, "x")}
        )
        assert broken.status_code == 500, broken.text
        asked = {"name": word(), "scopes": ["media:read"]}
        again = login | {"Idempotency-Key": word()}
        assert send("POST", "/api/v1/api-keys", json=asked, headers=again).status_code == 500
    with planter.without("audit_log"):
        guess = {"email": "owner@example.com", "password": word()}
        assert send("POST", f"{AUTH}/login", json=guess).status_code == 500
