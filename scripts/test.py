"""``make test``: every check and every test, with coverage over all processes that the tests start."""

import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

STEPS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy"],
    "import contract": ["lint-imports"],
}
PYTEST = [BIN / "coverage", "run", "-m", "pytest"]

SHARES = {
    "stack": ("tests/stack", "tests/chaos", "tests/supervision"),
    "requests": ("tests/api", "tests/exceptions", "tests/services"),
}
"""Tests that run side by side, each share in a process of its own; a last one takes all others. Those of the
stack wait for processes most of their time."""

TELL_EVERY = 30.0
"""Seconds."""

STALLED = 500.0
"""Seconds without a word of a share. pytest ends a test after 400 at the most, and most of them after 180,
unless the interpreter itself is stuck.

Python 3.11 under coverage was seen to spin where a thread with greenlets ended within a pending call;
tests/spinning.py keeps it from that.
"""

APART = "tests/container"
"""Tests of the built image: `make test-container`."""


def run(name: str, command: list[str]) -> bool:
    """Run one step; print its output only where it fails."""
    begin = time.monotonic()
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, check=False, text=True, capture_output=True
    )
    if done.returncode:
        print(done.stdout + done.stderr)
    print(
        f"{'ok' if done.returncode == 0 else 'FAILED':<7}{name} ({time.monotonic() - begin:.0f} s)",
        flush=True,
    )
    return done.returncode == 0


class Share:
    """Tests that one process runs."""

    def __init__(self, name: str, folder: Path, paths: tuple[str, ...]) -> None:
        self.name = name
        self._folder = folder
        self._paths = paths
        self._begun = 0
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        self._begun += 1
        folder = self._folder / str(self._begun)
        folder.mkdir(parents=True)
        self.output = folder / "output"
        # What pytest-xprocess keeps is of one folder each, so that no share ends another's.
        own = [f"--basetemp={folder}/t", "-o", f"cache_dir={folder}/cache"]
        with self.output.open("w") as output:
            return subprocess.Popen([*PYTEST, *self._paths, *own], cwd=ROOT, stdout=output, stderr=output)

    @property
    def ended(self) -> bool:
        """Whether its process is gone."""
        return self.process.poll() is not None

    @property
    def far(self) -> str:
        """How far it is."""
        seen = re.findall(r"\[ *(\d+%)\]", self.output.read_text(errors="replace"))
        return str((seen or ["0%"])[-1])

    def begin_anew_where_stalled(self) -> None:
        """End a process that has said nothing for too long, and start another, once."""
        silent = time.time() - self.output.stat().st_mtime
        if not self.ended and self._begun == 1 and silent > STALLED:
            print(f"       {self.name} stalled at {self.far}: ended, and begun anew", flush=True)
            self.process.kill()
            self.process.wait()
            self.process = self._begin()

    def end(self) -> None:
        """End its process where that has not ended by itself."""
        self.process.terminate()
        self.process.wait()


def tests() -> bool:
    """Run all shares side by side: first how far each is, then, when all are done, what each said."""
    listed = [APART, *(path for paths in SHARES.values() for path in paths)]
    chosen = SHARES | {"others": ("tests", *(f"--ignore={path}" for path in listed))}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        shares = [Share(name, Path(folder, name), paths) for name, paths in chosen.items()]
        for share in shares:
            stack.callback(share.end)
        watch(shares)
        for share in shares:
            print(share.output.read_text(errors="replace"))
            print(f"{'FAILED' if share.process.returncode else 'ok':<7}tests: {share.name}", flush=True)
    print(f"all tests took {time.monotonic() - begin:.0f} s", flush=True)
    return all(share.process.returncode == 0 for share in shares)


def watch(shares: list[Share]) -> None:
    """Wait for the end of all; now and then, say how far they are."""
    told = time.monotonic()
    while not all(share.ended for share in shares):
        time.sleep(1)
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            print("       " + ", ".join(f"{share.name} {share.far}" for share in shares), flush=True)
            for share in shares:
                share.begin_anew_where_stalled()


def report(name: str, command: list[str | Path]) -> bool:
    """Run one step whose output is shown as it comes."""
    begin = time.monotonic()
    passed = subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    print(f"{'ok' if passed else 'FAILED':<7}{name} ({time.monotonic() - begin:.0f} s)", flush=True)
    return passed


def coverage() -> bool:
    """Join what every process measured, and hold it against the floor."""
    subprocess.run([BIN / "coverage", "combine", "--quiet"], cwd=ROOT, check=False)
    return subprocess.run([BIN / "coverage", "report"], cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Run all steps, even after one has failed; 0 where all passed."""
    subprocess.run([BIN / "coverage", "erase"], cwd=ROOT, check=False)
    results = [run(name, command) for name, command in STEPS.items()]
    if len(sys.argv) == 1:
        results += [tests(), coverage()]
    else:
        results.append(report("tests", [*PYTEST, *sys.argv[1:]]))
    return int(not all(results))


if __name__ == "__main__":
    raise SystemExit(main())
