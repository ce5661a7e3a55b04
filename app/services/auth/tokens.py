"""Signed tokens: access tokens (RFC 9068) and the links in mails, each kind with its own key and type."""

import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

import jwt

from app.core.config.groups import AuthSettings
from app.core.security import Key, KeyRing
from app.models.base import new_id

ALGORITHM: Final = "HS256"
"""The one that is accepted, whatever a token says of itself (RFC 8725, section 3.1)."""

ACCESS: Final = "at+jwt"
VERIFY: Final = "verify+jwt"
RESET: Final = "reset+jwt"

LONGEST: Final = 4096
"""Characters of a token that are looked at."""

_REQUIRED: Final = ["exp", "iat", "sub", "iss", "aud", "jti"]


class InvalidTokenError(Exception):
    """The token is not one of ours, not for this, or has expired."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says, until ``expires_at`` (seconds since 1970).

    ``session_id`` is that of access tokens, ``stamp`` that of links in mails.
    """

    user_id: uuid.UUID
    session_id: uuid.UUID | None
    stamp: str | None
    expires_at: int


class Tokens:
    """Issues and verifies.

    Args:
        keys: the ring; every key on it verifies, the current one signs.
        auth: issuer, audience and lifetimes.
    """

    def __init__(self, keys: KeyRing, auth: AuthSettings) -> None:
        self._auth = auth
        self._current = {kind: keys.current(kind) for kind in (ACCESS, VERIFY, RESET)}
        self._accepted = {
            kind: {key.kid: key for key in keys.accepted(kind)} for kind in (ACCESS, VERIFY, RESET)
        }

    def access(self, user_id: uuid.UUID, session_id: uuid.UUID, *, seconds: float | None = None) -> str:
        """An access token of a session, for ``ACCESS_TOKEN_SECONDS`` unless said otherwise."""
        return self._issue(
            ACCESS, user_id, seconds or self._auth.access_token_seconds, {"sid": str(session_id)}
        )

    def mail(self, kind: str, user_id: uuid.UUID, stamp: str) -> str:
        """A token for a link in a mail, of type ``VERIFY`` or ``RESET``.

        Args:
            kind: what it is for.
            user_id: whom it is for.
            stamp: a digest of what it changes: the token is void once that has changed.
        """
        return self._issue(kind, user_id, self._auth.mail_token_seconds, {"stp": stamp})

    def verify(self, token: str, kind: str = ACCESS) -> Claims:
        """The claims of a token of this type.

        Raises:
            InvalidTokenError: it is not one, or does not hold any more.
        """
        try:
            claims = self._decoded(token, kind)
            session_id = uuid.UUID(claims["sid"]) if kind == ACCESS else None
            stamp = None if kind == ACCESS else str(claims["stp"])
            return Claims(uuid.UUID(claims["sub"]), session_id, stamp, int(claims["exp"]))
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InvalidTokenError(str(error)) from error

    def _decoded(self, token: str, kind: str) -> dict[str, Any]:
        if len(token) > LONGEST:
            raise InvalidTokenError("too long")
        header = jwt.get_unverified_header(token)
        # The type alone could be copied from one kind of token to another; the key of each kind could not.
        if header.get("typ") != kind or header.get("alg") != ALGORITHM or header.keys() - _HEADER:
            raise InvalidTokenError("not of this type")
        key = self._key(kind, header.get("kid"))
        return jwt.decode(
            token,
            key.secret,
            algorithms=[ALGORITHM],
            audience=self._auth.audience,
            issuer=self._auth.issuer,
            options={"require": _REQUIRED, "strict_aud": True},
        )

    def _key(self, kind: str, kid: object) -> Key:
        key = self._accepted[kind].get(kid) if isinstance(kid, str) else None
        if key is None:
            raise InvalidTokenError("signed with an unknown key")
        return key

    def _issue(self, kind: str, user_id: uuid.UUID, seconds: float, claims: dict[str, Any]) -> str:
        key, now = self._current[kind], int(time.time())
        common = {
            "iss": self._auth.issuer,
            "aud": self._auth.audience,
            "sub": str(user_id),
            "iat": now,
            "exp": now + int(seconds),
            "jti": new_id().hex,
        }
        return jwt.encode(
            common | claims, key.secret, algorithm=ALGORITHM, headers={"typ": kind, "kid": key.kid}
        )


_HEADER: Final = {"alg", "typ", "kid"}
