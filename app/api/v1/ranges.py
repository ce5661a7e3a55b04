"""Which bytes of a file a request asks for (RFC 9110, section 14.1)."""

import re
from typing import Final

Span = tuple[int, int]
"""The first byte, and the one behind the last."""

MOST_SPANS: Final = 100
"""More are ignored, and the whole is sent: each costs a seek and a header (RFC 9110, section 17.15)."""

_SPAN: Final = re.compile(r"([0-9]{0,40})-([0-9]{0,40})")


class UnsatisfiableRangeError(Exception):
    """Every span lies behind the end."""


def spans(field: str, size: int) -> list[Span]:
    """The spans of a ``Range`` field within a file of ``size`` bytes; none where the field is to be ignored.

    Those behind the end are left out. Where some overlap or touch, they are joined and put in order, so that
    no byte is sent twice; else they keep the order in which they were asked for (section 15.3.7.2).

    Raises:
        UnsatisfiableRangeError: it asks for nothing that is there (section 14.1.2).
    """
    unit, equals, given = field.partition("=")
    if not equals or unit.lower() != "bytes":
        return []
    specifiers = [part for part in (part.strip(" \t") for part in given.split(",")) if part]
    if not 0 < len(specifiers) <= MOST_SPANS:
        return []
    asked = []
    for specifier in specifiers:
        match = _SPAN.fullmatch(specifier)
        if match is None or (span := _span(match[1], match[2], size)) is None:
            return []  # one that is malformed spoils all of them (section 14.1.1)
        asked.append(span)
    within = [(first, end) for first, end in asked if first < min(end, size)]
    if not within:
        raise UnsatisfiableRangeError
    joined = _joined(within)
    return within if len(joined) == len(within) else joined


def _span(first: str, last: str, size: int) -> Span | None:
    """One span, at most up to the end of the file; None where it is malformed."""
    if first:
        if last and int(last) < int(first):
            return None
        return int(first), min(int(last) + 1, size) if last else size
    return (max(size - int(last), 0), size) if last else None


def _joined(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for first, end in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((first, end))
    return joined
