"""Keys derived from SECRET_KEY, one for each purpose, and digests of what is too random to guess."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Self

from app.core.config.groups import AuthSettings, secret_text

_CONTEXT: Final = b"holdfast/"
_KID_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class Key:
    """A key for one purpose; ``kid`` names the secret that it comes from and tells nothing of it."""

    kid: str
    secret: bytes


class KeyRing:
    """The current secret and, during a rotation, the one before.

    Args:
        secrets: the current one first. Not empty.
    """

    def __init__(self, *secrets: str) -> None:
        if not secrets or not all(secrets):
            raise ValueError("A key ring needs a secret.")
        self._secrets = tuple(secret.encode() for secret in secrets)

    @classmethod
    def from_settings(cls, auth: AuthSettings) -> Self:
        """The ring of SECRET_KEY and SECRET_KEY_PREVIOUS."""
        given = (secret_text(auth.secret_key), secret_text(auth.secret_key_previous))
        return cls(*(secret for secret in given if secret))

    def current(self, purpose: str) -> Key:
        """The key to sign with."""
        return self.accepted(purpose)[0]

    def accepted(self, purpose: str) -> tuple[Key, ...]:
        """The keys to verify with, the current one first."""
        return tuple(_derive(secret, purpose) for secret in self._secrets)


def _derive(secret: bytes, purpose: str) -> Key:
    kid = hashlib.sha256(_CONTEXT + b"kid/" + secret).hexdigest()[: 2 * _KID_BYTES]
    # HMAC as a pseudo-random function (RFC 5869, section 3.3 tells when extraction may be left out).
    return Key(kid, hmac.digest(secret, _CONTEXT + purpose.encode(), "sha256"))


def digest(text: str) -> str:
    """The SHA-256 of a random secret, as 64 hexadecimal digits; of no use for what people choose."""
    return hashlib.sha256(text.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
