"""The hash of a folder as Nix knows it, without Nix.

Nix archive (NAR): E. Dolstra, The Purely Functional Software Deployment Model (2006), section 5.2.1.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path


def _word(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)


def _node(path: Path) -> Iterator[bytes]:
    yield _word(b"(")
    yield _word(b"type")
    if path.is_dir():
        yield _word(b"directory")
        for name in sorted(entry.name.encode() for entry in path.iterdir()):
            yield from map(_word, (b"entry", b"(", b"name", name, b"node"))
            yield from _node(path / name.decode())
            yield _word(b")")
    else:
        yield from map(_word, (b"regular", b"contents", path.read_bytes()))
    yield _word(b")")


def digest(folder: Path) -> str:
    """The SHA-256 of a folder of plain files, none executable, as ``outputHash`` takes it."""
    state = hashlib.sha256(_word(b"nix-archive-1"))
    for part in _node(folder):
        state.update(part)
    return sri(state.digest())


def sri(sha256: bytes) -> str:
    """A hash in the form of Subresource Integrity (W3C)."""
    return "sha256-" + base64.b64encode(sha256).decode()
