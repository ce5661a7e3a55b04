"""Signed links: what one says cannot be changed, and one opens nothing that it was not signed for."""

import base64
import time
import uuid

import pytest

from app.core.security import KeyRing
from app.models.user import UserRole
from app.schemas.links import Disposition, Linkable
from app.services.auth.principal import Principal
from app.services.auth.tokens import InvalidTokenError
from app.services.media.links import Links, SignedLink
from tests.accounts import OWNER, session_of

MEDIA_ID = uuid.UUID("01900000-0000-7000-8000-00000000000a")
RING = KeyRing("k" * 40)


def link(seconds: int = 60, disposition: Disposition = Disposition.INLINE) -> SignedLink:
    principal = Principal(OWNER, UserRole.USER, frozenset(), session_id=session_of(OWNER))
    return SignedLink.of(principal, disposition=disposition, seconds=seconds)


def signed(given: SignedLink, ring: KeyRing = RING) -> str:
    return Links(ring).sign(given, media_id=MEDIA_ID, rendition=Linkable.CONTENT)


def verified(
    signature: str, ring: KeyRing = RING, *, media_id: str = str(MEDIA_ID), rendition: str = "content"
) -> SignedLink:
    return Links(ring).verify(signature, media_id=media_id, rendition=rendition)


@pytest.mark.parametrize("disposition", Disposition)
def test_a_link_says_what_was_signed(disposition: Disposition) -> None:
    by_login = link(disposition=disposition)
    by_key = SignedLink(disposition, by_login.expires_at, OWNER, api_key_id=uuid.uuid4())
    assert verified(signed(by_login)) == by_login
    assert verified(signed(by_key)) == by_key


def test_no_bit_of_a_signature_can_be_changed() -> None:
    raw = base64.urlsafe_b64decode(signed(link()))
    let_in = []
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            verified(base64.urlsafe_b64encode(changed).decode())
        except InvalidTokenError:
            continue
        let_in.append(bit)
    assert let_in == []


def test_a_signature_has_one_spelling() -> None:
    # One of many links has both letters that base64 spells in two ways.
    signature = next(
        text for text in (signed(link(seconds)) for seconds in range(60, 10_000)) if {"-", "_"} <= {*text}
    )
    assert verified(signature).user_id == OWNER
    for spelling in (
        *(signature.replace("-", "+"), signature.replace("_", "/"), signature + "=", signature + "===="),
        *(signature[:-1], signature[:-1] + "!", signature[:-4], "!!!!" + signature[4:], f" {signature[1:]}"),
        *("", "é" * len(signature), "A" * len(signature), signature * 2),
    ):
        with pytest.raises(InvalidTokenError):
            verified(spelling)


@pytest.mark.parametrize(
    ("media_id", "rendition"),
    [
        (str(MEDIA_ID), "thumbnail"),
        (str(MEDIA_ID), ""),
        (str(uuid.UUID(int=1)), "content"),
        (str(MEDIA_ID).upper(), "content"),
        (f"{MEDIA_ID}/content", ""),
    ],
)
def test_a_link_leads_to_one_place(media_id: str, rendition: str) -> None:
    with pytest.raises(InvalidTokenError):
        verified(signed(link()), media_id=media_id, rendition=rendition)


@pytest.mark.parametrize("seconds", [0, -1, -(10**6)])
def test_a_link_expires(seconds: int) -> None:
    with pytest.raises(InvalidTokenError):
        verified(signed(link(seconds)))


def test_a_link_outlives_a_change_of_the_secret_and_not_its_end() -> None:
    old, new = "o" * 40, "n" * 40
    signature = signed(link(), KeyRing(old))
    assert verified(signature, KeyRing(new, old)).user_id == OWNER
    with pytest.raises(InvalidTokenError):
        verified(signature, KeyRing(new))


def test_a_link_holds_as_long_as_was_asked_for() -> None:
    before = int(time.time())
    assert before + 60 <= link(60).expires_at <= time.time() + 60


@pytest.mark.parametrize(
    ("mime_type", "asked", "given"),
    [
        ("video/mp4", Disposition.INLINE, "inline"),
        ("video/mp4", Disposition.ATTACHMENT, "attachment"),
        ("video/x-matroska", Disposition.INLINE, "attachment"),
        ("text/html", Disposition.INLINE, "attachment"),
    ],
)
def test_what_browsers_do_not_show_is_saved(mime_type: str, asked: Disposition, given: str) -> None:
    assert link(disposition=asked).disposition_of(mime_type) == given
