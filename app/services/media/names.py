"""File names: made safe when they come in, written safely when they go out."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote

MAXIMUM_LENGTH: Final = 200
"""Characters of a name; no more than 255 bytes of UTF-8, which is what file systems take."""

MAXIMUM_BYTES: Final = 255

_DIRECTIONS: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
# Control characters, surrogates, and the separators of lines and paragraphs.
_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_LONG_EXTENSION: Final = 16


def clean_name(given: str | None, *, extension: str) -> str:
    """A name to show: no path, control or direction character, at most 200 characters and 255 bytes.

    Args:
        given: what the sender called it.
        extension: the usual one of its type, for a file without a name.
    """
    # The path goes last, for what is removed may have stood between its dots and slashes.
    visible = "".join(letter for letter in given or "" if _is_visible(letter))
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", visible))[-1].strip(" .")
    return _shortened(name) or f"unnamed{extension}"


def _is_visible(letter: str) -> bool:
    return letter not in _DIRECTIONS and unicodedata.category(letter) not in _CATEGORIES


def _shortened(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _LONG_EXTENSION:
        stem, dot, extension = name, "", ""
    tail = dot + extension
    stem = stem[: MAXIMUM_LENGTH - len(tail)]
    room = MAXIMUM_BYTES - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip() + tail


def content_disposition(name: str, *, kind: str = "attachment") -> str:
    """The header that names a download, in ASCII and in UTF-8 (RFC 6266, appendix D; RFC 8187)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # Percent signs too: some clients decode them in the plain form.
    plain = re.sub(r'[^ !#$&\'()*+,\-.0-9:;<=>?@A-Z\[\]^_`a-z{|}~]|["\\%]', "_", plain).strip() or "file"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
