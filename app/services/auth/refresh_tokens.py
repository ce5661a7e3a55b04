"""Refresh tokens: opaque to clients, and marked so that only genuine ones are taken seriously.

``hfr_`` and, in base64url, the session's id (16 bytes), a secret (32) and a mark (16). The mark tells a token
that was replaced from one that never was: nobody can end another's session by knowing its id.
"""

import hmac
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from app.core.security import KeyRing, digest
from app.services.auth.tokens import InvalidTokenError

PREFIX: Final = "hfr_"
LENGTH: Final = 90
"""Characters of a token."""

_ID: Final = 16
_SECRET: Final = 32
_MARK: Final = 16


class _Keys(NamedTuple):
    mark: bytes
    successor: bytes


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token whose mark is right; whether it is current its session's row says."""

    session_id: uuid.UUID
    secret: bytes = field(repr=False)
    text: str = field(repr=False)

    @property
    def hash(self) -> str:
        """What is stored in its place."""
        return digest(self.text)


class RefreshTokens:
    """Makes and reads them.

    Args:
        keys: the ring; every key on it verifies, the current one marks.
    """

    def __init__(self, keys: KeyRing) -> None:
        pairs = zip(keys.accepted("refresh"), keys.accepted("refresh-successor"), strict=True)
        self._keys = tuple(_Keys(mark.secret, successor.secret) for mark, successor in pairs)

    def first(self, session_id: uuid.UUID) -> RefreshToken:
        """The token of a new session."""
        return _made(session_id, secrets.token_bytes(_SECRET), self._keys[0])

    def read(self, text: str) -> RefreshToken:
        """A genuine token, current or not.

        Raises:
            InvalidTokenError: it was not made here.
        """
        raw = _decoded(text)
        session_id, secret = uuid.UUID(bytes=raw[:_ID]), raw[_ID : _ID + _SECRET]
        for keys in self._keys:
            # Compared as bytes of the whole text: the mark alone would let a second spelling of base64 pass.
            token = _made(session_id, secret, keys)
            if hmac.compare_digest(token.text.encode(), text.encode()):
                return token
        raise InvalidTokenError("not made here")

    def successors(self, token: RefreshToken) -> tuple[RefreshToken, ...]:
        """What follows a token, as each key would have it, the current one first.

        It is derived, so that whoever asks again with the same token is answered with the same successor,
        and yet nothing that could be used is stored.
        """
        return tuple(_following(token, keys) for keys in self._keys)


def _following(token: RefreshToken, keys: _Keys) -> RefreshToken:
    seed = token.secret + token.session_id.bytes + token.hash.encode()
    return _made(token.session_id, hmac.digest(keys.successor, seed, "sha256"), keys)


def _made(session_id: uuid.UUID, secret: bytes, keys: _Keys) -> RefreshToken:
    body = session_id.bytes + secret
    mark = hmac.digest(keys.mark, body, "sha256")[:_MARK]
    return RefreshToken(session_id, secret, PREFIX + urlsafe_b64encode(body + mark).decode().rstrip("="))


def _decoded(text: str) -> bytes:
    if len(text) != LENGTH or not text.startswith(PREFIX):
        raise InvalidTokenError("not a refresh token")
    try:
        raw = urlsafe_b64decode(text.removeprefix(PREFIX) + "==")
    except ValueError as error:
        raise InvalidTokenError("not a refresh token") from error
    if len(raw) != _ID + _SECRET + _MARK:
        # What is no base64 is passed over in decoding.
        raise InvalidTokenError("not a refresh token")
    return raw
