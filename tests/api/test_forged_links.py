"""Signed links that are none, or not to this: every one is a 401."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.core.config import AppSettings
from app.core.database import Sessions
from app.core.security import KeyRing
from app.schemas.links import Disposition, Linkable
from app.services.auth.tokens import RESET, Tokens
from app.services.media.links import PARAMETER, Links, SignedLink
from app.services.workspace import Workspace
from tests.accounts import OTHER, OWNER, session_of
from tests.api.test_matrix import FACTORIES

LENGTH = 92
BODY = 48
"""Letters that hold, of a signature's, what it says; with one byte of the MAC."""


class Forger:
    """Makes links to a file of OWNER. It knows the secret, which attackers do not."""

    def __init__(self, settings: AppSettings, media_id: uuid.UUID) -> None:
        self.keys = KeyRing.from_settings(settings.auth)
        self.tokens = Tokens(self.keys, settings.auth)
        self.media_id = media_id
        self.place = f"/api/v1/media/{media_id}/content"

    def link(
        self,
        rendition: Linkable = Linkable.CONTENT,
        *,
        media_id: uuid.UUID | None = None,
        seconds: int = 60,
        keys: KeyRing | None = None,
        **said: Any,
    ) -> str:
        """The signature of a link that is right in all but what is changed."""
        facts = {"user_id": OWNER, "session_id": session_of(OWNER)} | said
        link = SignedLink(Disposition.INLINE, int(time.time()) + seconds, **facts)
        return Links(keys or self.keys).sign(link, media_id=media_id or self.media_id, rendition=rendition)

    def spliced(self, **said: Any) -> str:
        """What another link says, before the MAC of the right one."""
        return self.link(**said)[:BODY] + self.link()[BODY:]


CORPUS: dict[str, Callable[[Forger], str]] = {
    "access token": lambda forger: forger.tokens.access(OWNER, session_of(OWNER)),
    "token of a mail": lambda forger: forger.tokens.mail(RESET, OWNER, "stamp"),
    "one letter": lambda _: "x",
    "huge": lambda _: "A" * 12_000,
    "not ASCII": lambda _: "\u00e9" * LENGTH,
    "zeros": lambda _: "A" * LENGTH,
    "expired": lambda forger: forger.link(seconds=0),
    "of a foreign key": lambda forger: forger.link(keys=KeyRing("f" * 40)),
    "to another file": lambda forger: forger.link(media_id=uuid.uuid4()),
    "to another rendition": lambda forger: forger.link(Linkable.THUMBNAIL),
    "of an unknown session": lambda forger: forger.link(session_id=uuid.uuid4()),
    "of another's session": lambda forger: forger.link(session_id=session_of(OTHER)),
    "of an unknown API key": lambda forger: forger.link(session_id=None, api_key_id=uuid.uuid4()),
    "of another account": lambda forger: forger.link(user_id=OTHER),
    "of another account, spliced": lambda forger: forger.spliced(user_id=OTHER),
    "that holds longer, spliced": lambda forger: forger.spliced(seconds=86400),
}


@pytest.fixture
async def forger(settings: AppSettings, sessions: Sessions) -> Forger:
    media_id = await FACTORIES["media_id"](sessions, Workspace.from_settings(settings))
    return Forger(settings, media_id)


async def test_no_forged_link_is_let_in(anonymous: httpx.AsyncClient, forger: Forger) -> None:
    let_in = {}
    for name, forge in CORPUS.items():
        answer = await anonymous.get(forger.place, params={PARAMETER: forge(forger)})
        if answer.status_code != 401 or answer.json()["error"]["code"] != "unauthorized":
            let_in[name] = (answer.status_code, answer.text)
    assert not let_in


async def test_the_forger_makes_links_that_are_right(anonymous: httpx.AsyncClient, forger: Forger) -> None:
    assert len(forger.link()) == LENGTH
    assert (await anonymous.get(forger.place, params={PARAMETER: forger.link()})).status_code == 200


async def test_a_signature_is_no_token(anonymous: httpx.AsyncClient, forger: Forger) -> None:
    for headers in (
        {"Authorization": f"Bearer {forger.link()}"},
        {"X-API-Key": forger.link()},
        {"Cookie": f"holdfast_access={forger.link()}"},
    ):
        assert (await anonymous.get(forger.place, headers=headers)).status_code == 401
