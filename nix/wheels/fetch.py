"""``python3 fetch.py SYSTEM LOCK FOLDER``: the wheels that a lock file pins, as files, for one system.

What is fetched depends on the lock and the names of the targets alone: any machine fetches the same for all.
"""

import subprocess
import sys
from pathlib import Path

from settle import settled

PYTHON = "3.13"
"""As in the image. The lock files hold for others too."""

# Best first, as pip ranks them on the target; it does not count down by itself. The glibc there is newer.
_TAGS = (*(f"manylinux_2_{minor}" for minor in range(41, 16, -1)), "manylinux2014")


def fetch(system: str, lock: Path, folder: Path) -> None:
    """Download them, and note beside them what they answer: ``requirements.txt``, for that system alone.

    Args:
        system: as Nix names it, such as ``aarch64-linux``.
        lock: a hash-pinned lock file.
        folder: where they are put; made where it is missing.

    Raises:
        CalledProcessError: one cannot be had, or has another hash. pip has said which.
    """
    machine = system.removesuffix("-linux")
    platforms = [word for tag in _TAGS for word in ("--platform", f"{tag}_{machine}")]
    abi = "cp" + PYTHON.replace(".", "")
    folder.mkdir(exist_ok=True)
    requirements = folder / "requirements.txt"
    lines = settled(lock.read_text("utf-8"), machine, PYTHON)
    requirements.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--progress-bar", "off", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--implementation", "cp", "--python-version", PYTHON, "--abi", abi, *platforms),
            *("--dest", str(folder), "--requirement", str(requirements)),
        ],
        check=True,
    )


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
