"""Keeps secrets out of what is written down."""

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(
    r"passw|secret|token|authoriz|cookie|api[-_]?key|credential|private[-_]?key|session[-_]?id|signature",
    re.IGNORECASE,
)
# Every part is bounded, or begins where few places can: what is logged may be long, and a stranger's choice.
_SECRET_TEXT: Final = (
    (re.compile(r"(?<=://)([^\s:/@]{0,256}):([^\s@]{1,512})@"), r"\1:***@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 ***"),
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*"), MASK),
    (
        re.compile(
            r"(?i)((?:passw(?:or)?d|secret|token|api[-_]?key|signature)\w{0,64}[\"']?\s{0,8}[=:]\s{0,8})"
            r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"'}]+)"
        ),
        r"\1***",
    ),
)


def is_secret_name(name: str) -> bool:
    """Whether a field or header of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """The text without passwords in addresses, bearer tokens and ``password=...`` pairs."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def mask(value: Any, *, depth: int = 6) -> Any:
    """A copy of a JSON-like value in which secret fields and secret texts are masked."""
    if isinstance(value, str):
        return mask_text(value)
    if depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return {
            str(k): MASK
            if is_secret_name(str(k)) and not isinstance(v, bool | None)
            else mask(v, depth=depth - 1)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(item, depth=depth - 1) for item in value]
    return value
