"""``make test``: every check and every test, with coverage over all processes that the tests start."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

STEPS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy"],
    "import contract": ["lint-imports"],
    "tests": ["coverage", "run", "-m", "pytest", *sys.argv[1:]],
}


def run(name: str, command: list[str]) -> bool:
    """Run one step; print its output only where it fails, but all of the tests'."""
    begin = time.monotonic()
    quiet = name != "tests"
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, check=False, text=True, capture_output=quiet
    )
    if quiet and done.returncode:
        print(done.stdout + done.stderr)
    print(
        f"{'ok' if done.returncode == 0 else 'FAILED':<7}{name} ({time.monotonic() - begin:.0f} s)",
        flush=True,
    )
    return done.returncode == 0


def coverage() -> bool:
    """Join what every process measured, and hold it against the floor."""
    subprocess.run([BIN / "coverage", "combine", "--quiet"], cwd=ROOT, check=False)
    return subprocess.run([BIN / "coverage", "report"], cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Run all steps, even after one has failed; 0 where all passed."""
    subprocess.run([BIN / "coverage", "erase"], cwd=ROOT, check=False)
    results = [run(name, command) for name, command in STEPS.items()]
    if len(sys.argv) == 1:
        results.append(coverage())
    return int(not all(results))


if __name__ == "__main__":
    raise SystemExit(main())
