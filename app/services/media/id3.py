"""The ID3 tag that may stand in front of sound (ID3v2.4 informal standard, sections 3.1 and 6.2)."""

from typing import Final

MAGIC: Final = b"ID3"
_HEADER: Final = 10
_FOOTER: Final = 0x10


def length(head: bytes) -> int:
    """Bytes of the tag that a file starts with, 0 where it has none."""
    if not head.startswith(MAGIC) or len(head) < _HEADER or any(byte & 0x80 for byte in head[6:_HEADER]):
        return 0
    size = 0
    for byte in head[6:_HEADER]:
        size = size << 7 | byte
    return size + _HEADER * (2 if head[5] & _FOOTER else 1)
