"""A fork that becomes a program is as if it had been executed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PARENT = """
import os, signal, sys
from app.supervision.becoming import become
for number in (signal.SIGCHLD, signal.SIGUSR2, signal.SIGINT):
    signal.signal(number, lambda *_: None)
os.environ["GONE"] = "x"
environment = {"SUPERVISOR_PROCESS_NAME": "toy-0", "PATH": os.environ["PATH"], "GIVEN": "y"}
try:
    become("program", [sys.executable, "-m", "program", "one", "two"], environment)
finally:
    print("back in supervisord")
"""

TELLS = """
import json, os, signal, sys
defaults = [signal.getsignal(n) is signal.SIG_DFL for n in (signal.SIGCHLD, signal.SIGUSR2)]
defaults.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
title = open("/proc/self/cmdline").read().rstrip("\\0")
print(json.dumps({"argv": sys.argv, "variables": sorted(os.environ), "defaults": defaults, "title": title,
                  "name": __name__, "main": sys.modules["__main__"].__dict__ is globals()}))
"""


def run(folder: Path, program: str) -> "subprocess.CompletedProcess[str]":
    """Run a parent that becomes this program."""
    (folder / "program.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "SPT_NOENV": "1"}
    command = [sys.executable, "-c", PARENT]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=50
    )


def test_it_has_the_arguments_variables_signals_and_title_of_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, TELLS)
    told = json.loads(done.stdout)
    assert told["argv"] == [str(tmp_path / "program.py"), "one", "two"]
    assert {"GIVEN", "PATH"} <= set(told["variables"])
    assert "GONE" not in told["variables"]
    assert told["defaults"] == [True, True, True]
    assert told["title"].startswith(f"toy-0: {sys.executable}")
    assert (told["name"], told["main"]) == ("__main__", True)


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("pass", 0, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(78)", 78, ""),
        ("raise SystemExit('it is wrong')", 1, "it is wrong"),
        ("raise RuntimeError('broken')", 1, "RuntimeError: broken"),
    ],
)
def test_it_ends_with_the_programs_own_code(tmp_path: Path, program: str, code: int, words: str) -> None:
    done = run(tmp_path, program)
    assert done.returncode == code
    assert words in done.stderr
    assert "back in supervisord" not in done.stdout


def test_what_it_registered_for_its_end_is_done_after_its_threads(tmp_path: Path) -> None:
    program = (
        "import atexit, threading\n"
        "atexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (threading.main_thread().join(), print('thread'))).start()\n"
    )
    assert run(tmp_path, program).stdout.split("\n")[:2] == ["thread", "at exit"]
