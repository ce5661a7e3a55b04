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

OUTPUT = "output"
TELL_EVERY = 30.0
"""Seconds."""

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


def tests() -> bool:
    """Run all shares side by side: first how far each is, then, when all are done, what each said."""
    listed = [APART, *(path for paths in SHARES.values() for path in paths)]
    shares = SHARES | {"others": ("tests", *(f"--ignore={path}" for path in listed))}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        running = {name: share(stack, Path(folder, name), paths) for name, paths in shares.items()}
        watch(running, Path(folder))
        for name, process in running.items():
            print(Path(folder, name, OUTPUT).read_text(errors="replace"))
            print(f"{'FAILED' if process.returncode else 'ok':<7}tests: {name}", flush=True)
    print(f"all tests took {time.monotonic() - begin:.0f} s", flush=True)
    return all(process.returncode == 0 for process in running.values())


def share(stack: ExitStack, folder: Path, paths: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start one share; it is ended with the stack, where it has not ended by itself."""
    folder.mkdir()
    output = stack.enter_context((folder / OUTPUT).open("w"))
    # What pytest-xprocess keeps is of one folder each, so that no share ends another's.
    own = [f"--basetemp={folder}/t", "-o", f"cache_dir={folder}/cache"]
    process = subprocess.Popen([*PYTEST, *paths, *own], cwd=ROOT, stdout=output, stderr=output)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def watch(running: dict[str, subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait for the end of all; now and then, say how far they are."""
    told = time.monotonic()
    while any(process.poll() is None for process in running.values()):
        time.sleep(1)
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            far = {
                name: re.findall(r"\[ *(\d+%)\]", (folder / name / OUTPUT).read_text()) for name in running
            }
            print(
                "       " + ", ".join(f"{name} {(seen or ['0%'])[-1]}" for name, seen in far.items()),
                flush=True,
            )


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
