"""Takes out of Debian what ``removed.txt`` names: package management, Perl, accounts, a second shell.

Less to carry, and less to find for whoever gets in. What stays is still listed in /var/lib/dpkg/status, where
scanners read it.
"""

import shutil
import subprocess
from pathlib import Path

DATABASE = Path("/var/lib/dpkg")
STATUS = DATABASE / "status"
ROOT = Path("/")


def files(package: str) -> set[Path]:
    """What a package installed, but for folders."""
    found = DATABASE.glob(f"info/{package}*.list")
    lists = [path for path in found if path.stem.partition(":")[0] == package]
    paths = {Path(line) for path in lists for line in path.read_text().splitlines()}
    return {path for path in paths if path.is_symlink() or path.is_file()}


def remove(packages: set[str]) -> None:
    """Remove what belongs to these packages alone; of the database only the status of the others stays."""
    stanzas = [stanza.strip() for stanza in STATUS.read_text().split("\n\n") if stanza.strip()]
    named = {stanza.partition("\n")[0].removeprefix("Package: "): stanza for stanza in stanzas}
    kept = {path.resolve() for name in named.keys() - packages for path in files(name)}
    for path in {path for name in packages & named.keys() for path in files(name)}:
        if path.resolve() not in kept:
            path.unlink(missing_ok=True)
    STATUS.write_text("".join(f"{text}\n\n" for name, text in named.items() if name not in packages))
    for entry in DATABASE.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry != STATUS:
            entry.unlink()


def main() -> None:
    """Remove packages and paths, then the rights by which a program becomes another account."""
    lines = Path(__file__).with_name("removed.txt").read_text().splitlines()[1:]
    remove({line for line in lines if not line.startswith("/")})
    for pattern in (line for line in lines if line.startswith("/")):
        for path in ROOT.glob(pattern.lstrip("/")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    privileged = ["find", "/", "-xdev", "-type", "f", "-perm", "/6000"]
    subprocess.run([*privileged, "-exec", "chmod", "a-s", "{}", "+"], check=True)
    subprocess.run(["ldconfig"], check=True)
    Path("/var/cache/ldconfig/aux-cache").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
