"""Remembers, as a salted hash beside the data, which password a server's role was last given."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

_ITERATIONS: Final = 100_000


def is_noted(marker: Path, password: str) -> bool:
    """Whether the marker tells of this very password."""
    try:
        salt, _, digest = marker.read_text("ascii").strip().partition(":")
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    return hmac.compare_digest(digest, _digest(salt, password))


def note(marker: Path, password: str) -> None:
    """Write the marker whole or not at all, readable by its owner only."""
    salt = secrets.token_hex(16)
    partial = marker.with_name(f"{marker.name}.partial")
    partial.unlink(missing_ok=True)
    # O_EXCL follows no link: the folder may belong to an account with fewer rights than this process.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"{salt}:{_digest(salt, password)}\n")
    partial.replace(marker)


def quoted(text: str, quote: str) -> str:
    """A name (``"``) or a string (``'``) as SQL writes it."""
    return quote + text.replace(quote, quote * 2) + quote


def _digest(salt: str, password: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), _ITERATIONS).hex()
