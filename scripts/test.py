"""``make test``: every check and every test, with coverage over all processes that the tests start."""

import subprocess
import sys
import tempfile
import time
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

BESIDE = ("tests/api", "tests/exceptions", "tests/services")
"""Tests that start no stack. They run beside the others, which wait for processes most of their time."""


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
    """Run all tests in two processes; the output of the second follows that of the first."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output")
        mine = ["-p", "no:xprocess", f"--basetemp={folder}/tests"]
        with output.open("w") as stream:
            second = subprocess.Popen([*PYTEST, *BESIDE, *mine], cwd=ROOT, stdout=stream, stderr=stream)
        try:
            first = report("tests", [*PYTEST, "tests", *(f"--ignore={path}" for path in BESIDE)])
        except BaseException:
            second.terminate()
            raise
        finally:
            second.wait()
            print(output.read_text(errors="replace"))
    print(f"{'ok' if second.returncode == 0 else 'FAILED':<7}tests of {', '.join(BESIDE)}", flush=True)
    return first and second.returncode == 0


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
