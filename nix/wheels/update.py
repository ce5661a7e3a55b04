"""``python3 nix/wheels/update.py``: write ``wheels.json`` anew after a change of the lock files.

It needs pip, and no Nix.
"""

import hashlib
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fetch import PYTHON, fetch
from nar import digest, sri

LOCKS = ("requirements.txt", "requirements-dev.txt")
SYSTEMS = ("aarch64-linux", "x86_64-linux")
TABLE = Path("nix/wheels.json")


def measured(lock: Path, system: str) -> str:
    """The hash of one system's wheels, which are fetched for that."""
    with tempfile.TemporaryDirectory() as folder:
        fetch(system, lock, Path(folder))
        return digest(Path(folder))


def entry(lock: Path) -> dict[str, str]:
    """What is noted of a lock file: its own hash, which tells a stale table, and each system's."""
    with ThreadPoolExecutor() as pool:
        hashes = dict(zip(SYSTEMS, pool.map(lambda system: measured(lock, system), SYSTEMS), strict=True))
    return {"lock": sri(hashlib.sha256(lock.read_bytes()).digest())} | hashes


def main() -> None:
    """Measure everything; the table is written last, whole."""
    if not TABLE.parent.is_dir():
        sys.exit("error: run this in the root of the repository")
    table = {"python": PYTHON, "locks": {name: entry(Path(name)) for name in LOCKS}}
    TABLE.write_text(json.dumps(table, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
