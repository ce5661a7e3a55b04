"""Signed links: who has one may fetch one rendition of one file, until it expires.

A link is no row: it says for whom and until when, and carries a MAC over that and over what it leads to.
"""

import base64
import binascii
import hmac
import struct
import time
import uuid
from dataclasses import dataclass
from typing import Final

from app.core.security import Key, KeyRing, same
from app.schemas.links import Disposition, Linkable
from app.services.auth.principal import Principal
from app.services.auth.tokens import InvalidTokenError

PARAMETER: Final = "signature"
"""Of the query. Its value stands in no log."""
PURPOSE: Final = "media-link"

SHOWN_BY_BROWSERS: Final = frozenset(
    {
        *("image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"),
        *("video/mp4", "video/ogg", "video/quicktime", "video/webm"),
        *("audio/aac", "audio/flac", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/wav"),
    }
)
"""Types that a browser plays or draws, and never runs."""

# Flags, seconds since 1970 (until 2106), the account, and its session or API key.
_BODY: Final = struct.Struct(">BI16s16s")
_MAC_BYTES: Final = 32
# A multiple of three bytes: base64 then has one spelling for each, and no padding.
_LENGTH: Final = (_BODY.size + _MAC_BYTES) // 3 * 4
_ATTACHMENT: Final = 1
_BY_API_KEY: Final = 2


@dataclass(frozen=True, slots=True)
class SignedLink:
    """What a link says: what to do with it, until when, for which account, and which credential made it."""

    disposition: Disposition
    expires_at: int
    user_id: uuid.UUID
    session_id: uuid.UUID | None = None
    api_key_id: uuid.UUID | None = None

    @classmethod
    def of(cls, principal: Principal, *, disposition: Disposition, seconds: int) -> "SignedLink":
        """A link that holds from now on, for what this principal may see."""
        return cls(
            disposition,
            int(time.time()) + seconds,
            principal.user_id,
            principal.session_id,
            principal.api_key_id,
        )

    def disposition_of(self, mime_type: str) -> Disposition:
        """What a browser is to do with a file of this type."""
        return self.disposition if mime_type in SHOWN_BY_BROWSERS else Disposition.ATTACHMENT

    def packed(self) -> bytes:
        """The link as bytes, in one way only."""
        maker = self.session_id or self.api_key_id
        assert maker is not None  # noqa: S101 - a principal has one of them; this tells the type checker
        flags = _ATTACHMENT * (self.disposition is Disposition.ATTACHMENT)
        flags |= _BY_API_KEY * (self.session_id is None)
        return _BODY.pack(flags, self.expires_at, self.user_id.bytes, maker.bytes)

    @classmethod
    def unpacked(cls, body: bytes) -> "SignedLink":
        """The link of such bytes."""
        flags, expires_at, user, maker = _BODY.unpack(body)
        by_key = bool(flags & _BY_API_KEY)
        return cls(
            Disposition.ATTACHMENT if flags & _ATTACHMENT else Disposition.INLINE,
            expires_at,
            uuid.UUID(bytes=user),
            session_id=None if by_key else uuid.UUID(bytes=maker),
            api_key_id=uuid.UUID(bytes=maker) if by_key else None,
        )


class Links:
    """Signs and verifies.

    Args:
        keys: the ring; every key on it verifies, the current one signs.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._accepted = keys.accepted(PURPOSE)

    def sign(self, link: SignedLink, *, media_id: uuid.UUID, rendition: Linkable) -> str:
        """The signature of a link to this rendition of this file."""
        return _signed(self._accepted[0], link.packed(), str(media_id), rendition)

    def verify(self, signature: str, *, media_id: str, rendition: str) -> SignedLink:
        """What a link to this says; both as they stand in the path of the request.

        Raises:
            InvalidTokenError: it was not signed here, not for this, or has expired.
        """
        body = _body(signature)
        # Made once more and compared whole: nothing of what was sent is believed before.
        for key in self._accepted:
            if same(_signed(key, body, media_id, rendition), signature):
                break
        else:
            raise InvalidTokenError("not signed for this")
        link = SignedLink.unpacked(body)
        if link.expires_at <= time.time():
            raise InvalidTokenError("expired")
        return link


def _signed(key: Key, body: bytes, media_id: str, rendition: str) -> str:
    # The body has one length and an id no slash, so that no two links are the same bytes.
    mac = hmac.digest(key.secret, body + f"{media_id}/{rendition}".encode(), "sha256")
    return base64.urlsafe_b64encode(body + mac).decode()


def _body(signature: str) -> bytes:
    if len(signature) != _LENGTH:
        raise InvalidTokenError("not a signature")
    try:
        return base64.urlsafe_b64decode(signature)[: _BODY.size].ljust(_BODY.size, b"\0")
    except (binascii.Error, ValueError) as error:
        raise InvalidTokenError("not a signature") from error
