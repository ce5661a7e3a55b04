"""PostgreSQL refuses to run as root: there an unprivileged account runs it, in a place that it can reach."""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHARED_HOME: Final = Path("/var/lib/holdfast")
_CANDIDATES: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs a server that refuses root."""

    name: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give a folder to this account, and to it alone."""
        make_passable(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, self.uid, self.gid)
        path.chmod(0o700)

    def become(self) -> None:
        """Drop every privilege of root in this process; nothing can take it back."""
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)
        os.environ["HOME"] = "/"


def unprivileged_account() -> Account | None:
    """The account for servers that refuse root; None where this process is not root.

    Raises:
        RuntimeError: this process is root and the machine has no such account.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise RuntimeError(
        f"PostgreSQL refuses to run as root and there is no account {' or '.join(_CANDIDATES)}"
    )


def is_passable(path: Path) -> bool:
    """Whether any account may pass through every folder on the way to ``path``."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.absolute().parents if parent.exists())


def make_passable(folder: Path) -> None:
    """Make a folder and those above it that are missing, each open to be passed, whatever the umask is."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def server_home(state_dir: Path, account: Account | None) -> Path:
    """The folder for a server's data: in the state folder, or beside it where the account cannot reach that.

    A checkout below ``/root`` is closed to every other account; its servers then live in
    ``/var/lib/holdfast``, in a folder named for the state folder.
    """
    if account is None or is_passable(state_dir / "postgres"):
        return state_dir / "postgres"
    digest = hashlib.sha256(str(state_dir.absolute()).encode()).hexdigest()[:12]
    return SHARED_HOME / digest / "postgres"


def reachable_copy(folder: Path, account: Account | None, home: Path) -> Path:
    """The folder of a program, copied beside the data where the account cannot reach the original.

    A wheel keeps the libraries of ``package/folder`` in ``package.libs``, which the programs find relative
    to themselves: both are copied, in the same places.
    """
    if account is None or is_passable(folder / "bin"):
        return folder
    package = folder.parent
    copy = home.parent / f"programs-{folder.name}-{int(folder.stat().st_mtime)}"
    if not copy.exists():
        partial = copy.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        make_passable(partial / package.name)
        shutil.copytree(folder, partial / package.name / folder.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        partial.rename(copy)
    return copy / package.name / folder.name
