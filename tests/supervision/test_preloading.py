"""The programs share the memory of their code, and are executed where that code is not what is on disk."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.supervision import preloading
from app.supervision.journal import Journal
from app.supervision.preloading import CODE, Preloading

ROOT = Path(__file__).resolve().parents[2]

LOADED = """
import json, os, sys, threading
before = set(os.listdir("/proc/self/fd"))
from app.supervision.preloading import load
loaded = load(tuple(sys.argv[1:]))
from app.core import config
opened = sorted(set(os.listdir("/proc/self/fd")) - before)
settings = config._settings.cache_info().currsize
print(json.dumps([loaded.faults, opened, threading.active_count(), settings]))
"""


def argv(module: str = "app.server") -> list[str]:
    return [sys.executable, "-m", module, "x"]


class Options:
    """What supervisord's options do, noted."""

    def __init__(self) -> None:
        self.executed: list[list[str]] = []

    def execve(self, _filename: str, argv: list[str], _environment: dict[str, str]) -> None:
        self.executed.append(argv)


def shared(options: Options, *programs: str, lines: list[bytes] | None = None) -> Preloading:
    said = [] if lines is None else lines
    return Preloading(options, programs, Journal(said.append, reopen=lambda: None, end=lambda: None))


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run in the fork."""
    found: list[list[str]] = []
    monkeypatch.setattr(preloading, "become", lambda _module, argv, _environment: found.append(argv))
    return found


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The one module of the program ``api``, whose file a test may change."""
    file = tmp_path / "module_of_a_test.py"
    file.write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(preloading.CODE, "api", (file.stem,))
    # Nothing else that these tests have loaded is of interest, and none of it is to be left uncollected.
    monkeypatch.setattr(preloading, "_files", lambda: {str(file)})
    monkeypatch.setattr(preloading, "_STARTED", file.stat().st_ctime_ns)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    preloading.load.cache_clear()
    yield file
    preloading.load.cache_clear()
    sys.modules.pop(file.stem, None)


def process(group: str) -> Any:
    return SimpleNamespace(group=SimpleNamespace(config=SimpleNamespace(name=group)), laststart=0.0)


def spawn(options: Options, group: str, argv: list[str]) -> None:
    options.execve(argv[0], argv, {"SUPERVISOR_GROUP_NAME": group})


def test_all_that_the_programs_load_can_be_loaded_and_opens_nothing() -> None:
    modules = sorted({module for modules in CODE.values() for module in modules})
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LOADED, *modules]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], [], 1, 0], "no fault, no file, no thread, no settings"


def test_a_program_is_run_in_the_fork(code: Path, became: list[list[str]]) -> None:
    options = Options()
    shared(options, "api").starting(process("api"))
    spawn(options, "api", argv())
    assert (became, options.executed) == ([argv()], [])
    assert code.stem in sys.modules


def test_code_is_loaded_when_the_first_of_its_programs_starts(code: Path) -> None:
    preloaded = shared(Options(), "api")
    preloaded.starting(process("postgres"))
    assert code.stem not in sys.modules
    preloaded.starting(process("api"))
    assert code.stem in sys.modules


@pytest.mark.parametrize("change", [lambda code: code.write_text("1"), lambda code: os.utime(code, (1, 1))])
def test_changed_code_is_executed(
    code: Path, became: list[list[str]], change: Callable[[Path], object]
) -> None:
    options = Options()
    shared(options, "api").starting(process("api"))
    change(code)
    spawn(options, "api", argv())
    assert (became, options.executed) == ([], [argv()])


def test_code_that_changed_while_it_was_loaded_is_executed(
    code: Path, became: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preloading, "_STARTED", code.stat().st_ctime_ns - 1)
    options = Options()
    shared(options, "api").starting(process("api"))
    spawn(options, "api", argv())
    assert (became, options.executed) == ([], [argv()])


def test_code_that_another_environment_shares_meanwhile_is_run_in_the_fork(
    code: Path, became: list[list[str]], tmp_path: Path
) -> None:
    options = Options()
    shared(options, "api").starting(process("api"))
    os.link(code, tmp_path / "of_another")
    spawn(options, "api", argv())
    assert (became, options.executed) == ([argv()], [])


def test_code_in_a_folder_that_was_swapped_is_executed(
    code: Path, became: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options()
    beside = code.with_suffix(".beside")
    beside.write_text("")
    monkeypatch.setattr(preloading, "_STARTED", sys.maxsize)
    shared(options, "api").starting(process("api"))
    beside.rename(code)
    spawn(options, "api", argv())
    assert (became, options.executed) == ([], [argv()])


def test_a_reload_does_not_take_new_files_for_the_loaded_ones(
    code: Path, became: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preloading, "_STARTED", sys.maxsize)
    shared(Options(), "api").starting(process("api"))
    code.write_text("changed = True")
    options = Options()
    shared(options, "api").starting(process("api"))
    spawn(options, "api", argv())
    assert (became, options.executed) == ([], [argv()])


def test_a_process_begins_after_its_code_was_loaded(code: Path) -> None:
    begun = process("api")
    shared(Options(), "api").starting(begun)
    assert begun.laststart > 0


def test_removed_code_is_executed(code: Path, became: list[list[str]]) -> None:
    options = Options()
    shared(options, "api").starting(process("api"))
    code.unlink()
    spawn(options, "api", argv())
    assert (became, options.executed) == ([], [argv()])


@pytest.mark.parametrize(
    ("group", "command"),
    [
        ("postgres", argv("app.supervision.embedded.postgres")),
        ("api", ["/usr/bin/python3", "-m", "app.server"]),
        ("api", [sys.executable, "toy.py"]),
    ],
)
def test_other_programs_are_executed(
    code: Path, became: list[list[str]], group: str, command: list[str]
) -> None:
    options = Options()
    shared(options, "api").starting(process("api"))
    spawn(options, group, command)
    assert (became, options.executed) == ([], [command])


def test_nothing_is_shared_where_no_program_is_named(code: Path) -> None:
    options = Options()
    shared(options).starting(process("api"))
    spawn(options, "api", argv())
    assert options.executed == [argv()]
    assert code.stem not in sys.modules


@pytest.mark.parametrize(
    ("text", "told"),
    [("raise RuntimeError('broken')", "RuntimeError: broken"), ("raise SystemExit(78)", "SystemExit: 78")],
)
def test_code_that_cannot_be_loaded_is_told_and_left_to_its_program(code: Path, text: str, told: str) -> None:
    code.write_text(text)
    lines: list[bytes] = []
    shared(Options(), "api", lines=lines).starting(process("api"))
    (line,) = map(json.loads, lines)
    assert (line["level"], line["message"]) == ("WARNING", f"module_of_a_test is not shared: {told}")


def test_what_a_system_does_without_is_passed_over(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code.unlink()
    monkeypatch.setattr(preloading, "OPTIONAL", frozenset({code.stem}))
    lines: list[bytes] = []
    shared(Options(), "api", lines=lines).starting(process("api"))
    assert lines == []
