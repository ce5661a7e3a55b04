"""Cross-site request forgery: a token bound to the session, which a page of another origin cannot read.

The signed double-submit pattern of the OWASP cheat sheet: with cookies as the credential, every request that
changes something carries the token in a header too.
"""

import hmac
import uuid
from typing import Final

from app.core.security import KeyRing, same

HEADER: Final = "X-CSRF-Token"

_PURPOSE: Final = "csrf"


def csrf_token(keys: KeyRing, session_id: uuid.UUID) -> str:
    """The token of a session."""
    return _tokens(keys, session_id)[0]


def is_csrf_token(keys: KeyRing, session_id: uuid.UUID, given: str) -> bool:
    """Whether a token is that of the session, under any key that still holds."""
    return any(same(token, given) for token in _tokens(keys, session_id))


def _tokens(keys: KeyRing, session_id: uuid.UUID) -> list[str]:
    return [hmac.new(key.secret, session_id.bytes, "sha256").hexdigest() for key in keys.accepted(_PURPOSE)]
