"""What tells a genuine refresh token from any other text."""

import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from app.core.security import KeyRing
from app.services.auth.refresh_tokens import LENGTH, PREFIX, RefreshTokens
from app.services.auth.tokens import InvalidTokenError

OLD, NEW = "o" * 40, "n" * 40
SESSION = uuid.UUID("01900000-0000-7000-8000-00000000abcd")


@pytest.fixture
def tokens() -> RefreshTokens:
    return RefreshTokens(KeyRing(NEW))


def with_byte_changed(text: str, place: int) -> str:
    raw = bytearray(urlsafe_b64decode(text.removeprefix(PREFIX) + "=="))
    raw[place] ^= 1
    return PREFIX + urlsafe_b64encode(bytes(raw)).decode().rstrip("=")


def test_a_token_is_read_as_it_was_made(tokens: RefreshTokens) -> None:
    made = tokens.first(SESSION)
    assert tokens.read(made.text) == made
    assert len(made.text) == LENGTH


@pytest.mark.parametrize("place", [0, 15, 16, 47, 48, 63], ids=lambda place: f"byte {place}")
def test_any_changed_byte_makes_it_a_forgery(tokens: RefreshTokens, place: int) -> None:
    with pytest.raises(InvalidTokenError):
        tokens.read(with_byte_changed(tokens.first(SESSION).text, place))


@pytest.mark.parametrize(
    "text",
    ["", PREFIX, "hfr_" + "!" * 86, "hfr_" + "A" * 86, "hfr_" + "é" * 86, "x" * LENGTH, "hfr_" + "A" * 5000],
    ids=["empty", "prefix", "no base64", "zeros", "not ASCII", "no prefix", "huge"],
)
def test_other_texts_are_none(tokens: RefreshTokens, text: str) -> None:
    with pytest.raises(InvalidTokenError):
        tokens.read(text)


def test_a_second_spelling_of_the_same_bytes_is_none(tokens: RefreshTokens) -> None:
    text = tokens.first(SESSION).text
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes are 86 characters less four bits: those are free in the last one.
    spelled = text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]
    assert urlsafe_b64decode(spelled[4:] + "==") == urlsafe_b64decode(text[4:] + "==")
    with pytest.raises(InvalidTokenError):
        tokens.read(spelled)


def test_a_token_of_another_secret_is_a_forgery(tokens: RefreshTokens) -> None:
    with pytest.raises(InvalidTokenError):
        tokens.read(RefreshTokens(KeyRing(OLD)).first(SESSION).text)


def test_a_token_of_the_secret_before_is_genuine() -> None:
    made = RefreshTokens(KeyRing(OLD)).first(SESSION)
    assert RefreshTokens(KeyRing(NEW, OLD)).read(made.text) == made


def test_the_successor_is_the_same_each_time(tokens: RefreshTokens) -> None:
    made = tokens.first(SESSION)
    successor = tokens.successors(made)[0]
    assert tokens.successors(tokens.read(made.text))[0] == successor
    assert tokens.read(successor.text) == successor
    assert successor.secret != made.secret


def test_successors_of_two_tokens_differ(tokens: RefreshTokens) -> None:
    one, other = (tokens.successors(tokens.first(SESSION))[0] for _ in range(2))
    assert one.text != other.text


def test_a_rotated_ring_still_knows_the_successor_that_was_made_before() -> None:
    before = RefreshTokens(KeyRing(OLD))
    made = before.first(SESSION)
    assert before.successors(made)[0] in RefreshTokens(KeyRing(NEW, OLD)).successors(made)


def test_no_secret_is_shown_in_a_representation(tokens: RefreshTokens) -> None:
    made = tokens.first(SESSION)
    assert made.text not in repr(made)
    assert repr(made.secret) not in repr(made)
