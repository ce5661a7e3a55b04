"""What the launcher asks the system for. What that does is seen in ``test_run.py``."""

import ctypes
import errno
import json
import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.services.media import launcher
from app.services.media.run import LAUNCHER
from tests.services.media.walls import filters

LIMITS: dict[str, Any] = {
    "parent": os.getpid(),
    "nice": 0,
    "cpu": 7,
    "memory": 2**30,
    "file_size": 0,
    "calls": [[6, 0, 0, 0x7FFF0000]],
    "readable": ["/source"],
    "writable": ["/work"],
}


CAPSET = 126


class FakeLibrary:
    """A C library of a kernel with this version of Landlock."""

    def __init__(
        self,
        version: int,
        *,
        ruleset: int | None = None,
        failing: int = 0,
        held: int = 0,
        filters: bool = True,
    ) -> None:
        self.version = version
        self.calls: list[tuple[Any, ...]] = []
        self._ruleset = ruleset
        self._failing = failing
        self._held = held
        self._filters = filters

    def prctl(self, *arguments: Any) -> int:
        self.calls.append(("prctl", *arguments))
        if arguments[-1] is None:
            ctypes.set_errno(errno.EFAULT if self._filters else errno.EINVAL)
            return -1
        return -1 if arguments[0] == self._failing else 0

    def capget(self, _header: bytes, held: Any) -> int:
        held.raw = bytes([self._held]) * 24
        return 0

    def capset(self, header: bytes, chosen: bytes) -> int:
        self.calls.append(("capset", header, chosen))
        return -1 if self._failing == CAPSET else 0

    def syscall(self, number: int, *arguments: Any) -> int:
        self.calls.append((number, *arguments))
        if number == self._failing:
            return -1
        if number == launcher.LANDLOCK_CREATE_RULESET:
            if arguments[0] is None:
                return self.version
            return os.open(os.devnull, os.O_RDONLY) if self._ruleset is None else self._ruleset
        return 0

    def rules(self) -> list[int]:
        return [
            struct.unpack("=Qi", call[3])[0] for call in self.calls if call[0] == launcher.LANDLOCK_ADD_RULE
        ]

    def attributes(self) -> tuple[bytes, int]:
        [(content, size)] = [
            call[1:3]
            for call in self.calls
            if call[0] == launcher.LANDLOCK_CREATE_RULESET and call[1] is not None
        ]
        return content, size


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeLibrary]:
    def make(version: int, **options: Any) -> FakeLibrary:
        library = FakeLibrary(version, **options)
        monkeypatch.setattr(launcher, "load_libc", lambda: library)
        return library

    return make


@pytest.mark.parametrize(
    ("version", "rights", "others", "size"),
    [
        (1, 13, (0, 0), 8),
        (2, 14, (0, 0), 8),
        (3, 15, (0, 0), 8),
        (4, 15, (3, 0), 16),
        (5, 16, (3, 0), 16),
        (6, 16, (3, 3), 24),
        (99, 16, (3, 3), 24),
    ],
)
def test_each_kernel_is_asked_for_all_that_it_knows(
    kernel: Callable[[int], Any], version: int, rights: int, others: tuple[int, int], size: int
) -> None:
    library = kernel(version)
    assert launcher.confine(library, "/bin/sh", [], [])
    content, given = library.attributes()
    assert struct.unpack("=QQQ", content) == ((1 << rights) - 1, *others)
    assert given == size


def test_without_landlock_it_goes_on_unconfined(kernel: Callable[[int], Any]) -> None:
    assert not launcher.confine(kernel(-1), "/bin/sh", [], [])


def test_a_refused_ruleset_is_no_reason_to_go_on(kernel: Callable[..., Any]) -> None:
    with pytest.raises(SystemExit) as caught:
        launcher.confine(kernel(3, ruleset=-1), "/bin/sh", [], [])
    assert caught.value.code == launcher.HINDERED


@pytest.mark.parametrize(
    ("failing", "wall"),
    [
        (launcher.PR_SET_NO_NEW_PRIVS, "no_new_privs"),
        (launcher.LANDLOCK_RESTRICT_SELF, "Landlock"),
        (CAPSET, "the loss of capabilities"),
        (launcher.PR_SET_PDEATHSIG, "the end with its worker"),
        (launcher.PR_SET_SECCOMP, "seccomp"),
    ],
)
def test_a_wall_that_does_not_rise_keeps_the_tool_from_its_start(
    kernel: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failing: int,
    wall: str,
) -> None:
    kernel(5, failing=failing, held=255)
    monkeypatch.setattr(os, "getppid", os.getpid)
    with pytest.raises(SystemExit) as caught:
        launcher.raise_walls("/bin/sh", LIMITS)
    assert caught.value.code == launcher.HINDERED
    assert capsys.readouterr().err.startswith(f"launcher: {wall} did not rise: ")


def test_what_the_kernel_lacks_keeps_no_tool_from_its_start(
    kernel: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel(-1, filters=False)
    monkeypatch.setattr(os, "getppid", os.getpid)
    assert launcher.raise_walls("/bin/sh", LIMITS) == {"landlock": False, "seccomp": False}


def test_root_is_left_no_capability(kernel: Callable[..., Any]) -> None:
    library = kernel(5, held=255)
    launcher.drop_capabilities(library)
    dropped = [call[2] for call in library.calls if call[:2] == ("prctl", launcher.PR_CAPBSET_DROP)]
    assert dropped == list(range(64))
    # Only then: they are taken away by means of one of them.
    assert library.calls[-1] == ("capset", struct.pack("=Ii", 0x20080522, 0), bytes(24))


def test_who_has_no_capability_loses_none(kernel: Callable[..., Any]) -> None:
    library = kernel(5)
    launcher.drop_capabilities(library)
    assert library.calls == []


def test_its_folder_holds_plain_files_and_nothing_else(kernel: Callable[[int], Any], tmp_path: Path) -> None:
    library = kernel(5)
    launcher.confine(library, "/bin/sh", [], [str(tmp_path)])
    # include/uapi/linux/landlock.h: write, read, list, remove a file, make a file, truncate.
    assert library.rules()[-1] == 0b100_0001_0010_1110
    older = kernel(2)
    launcher.confine(older, "/bin/sh", [], [str(tmp_path)])
    assert older.rules()[-1] == 0b000_0001_0010_1110


@pytest.mark.parametrize(
    "place", ["/usr/src", "/usr/local/src", "/usr/share/holdfast", "/opt", "/home", "/srv"]
)
def test_where_people_put_a_checkout_is_no_part_of_the_system(place: str) -> None:
    assert not [path for path in launcher.SYSTEM if Path(place).is_relative_to(path)]


def test_nothing_that_can_be_written_can_be_executed(kernel: Callable[[int], Any], tmp_path: Path) -> None:
    library = kernel(5)
    launcher.confine(library, "/bin/sh", [], [str(tmp_path)])
    writing = [rights for rights in library.rules() if rights & launcher.WRITE_FILE]
    assert len(writing) == 1
    assert not writing[0] & launcher.EXECUTE


def test_the_source_can_be_read_and_nothing_more(kernel: Callable[[int], Any], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.touch()
    with_it, without = kernel(5), kernel(5)
    launcher.confine(with_it, "/bin/sh", [str(source)], [])
    launcher.confine(without, "/bin/sh", [], [])
    assert with_it.rules() == [*without.rules(), launcher.READ_FILE]


def test_a_path_that_does_not_exist_needs_no_rule(kernel: Callable[[int], Any], tmp_path: Path) -> None:
    library = kernel(5)
    launcher.allow(library, 0, str(tmp_path / "none"), launcher.READ_FILE)
    assert library.calls == []


def test_the_libraries_beside_a_tool_are_let_in(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").touch()
    folders = launcher.tool_folders(str(tmp_path / "bin" / "ffmpeg"))
    assert folders == [str(tmp_path / "bin" / "ffmpeg"), str(tmp_path / "lib")]


def test_a_tool_by_itself_lets_nothing_else_in(tmp_path: Path) -> None:
    (tmp_path / "tool").touch()
    assert launcher.tool_folders(str(tmp_path / "tool")) == [str(tmp_path / "tool")]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[int, tuple[int, int]]:
    """The resource limits that were set, without setting them."""
    given: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", given.__setitem__)
    return given


def test_limits_are_hard_ones(limits: dict[int, tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _name: (5, resource.RLIM_INFINITY))
    launcher.limit(LIMITS)
    assert limits[resource.RLIMIT_CPU] == (7, 7)
    assert limits[resource.RLIMIT_AS] == (2**30, 2**30)
    assert limits[resource.RLIMIT_FSIZE] == (0, 0)
    assert limits[resource.RLIMIT_CORE] == (0, 0)
    assert limits[resource.RLIMIT_NOFILE] == (64, 64)


def test_a_stricter_limit_of_the_system_stays(
    limits: dict[int, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _name: (3, 3))
    launcher.limit(LIMITS)
    assert limits[resource.RLIMIT_CPU] == (3, 3)


def test_a_limit_that_the_system_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: int, _value: tuple[int, int]) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(sys, "platform", "darwin")
    launcher.limit(LIMITS)


def test_a_limit_that_linux_refuses_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: int, _value: tuple[int, int]) -> None:
        raise OSError("refused")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(OSError, match="refused"):
        launcher.limit(LIMITS)


class Replaced(BaseException):
    """Stands for the moment at which the process becomes another program."""


def test_all_is_in_place_before_the_tool_starts(
    kernel: Callable[[int], Any], limits: dict[int, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = kernel(5)
    restored: list[int] = []
    blocked: list[int] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "getppid", os.getpid)
    monkeypatch.setattr(signal, "signal", lambda number, _handler: restored.append(number))
    monkeypatch.setattr(signal, "pthread_sigmask", lambda _how, numbers: blocked.extend(numbers))

    def replaced(program: str, arguments: list[str]) -> None:
        assert limits
        assert ("prctl", launcher.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) in library.calls
        assert ("prctl", launcher.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) in library.calls
        assert library.calls[-1][:3] == ("prctl", launcher.PR_SET_SECCOMP, launcher.SECCOMP_MODE_FILTER)
        assert any(call[0] == launcher.LANDLOCK_RESTRICT_SELF for call in library.calls)
        raise Replaced(program, arguments)

    monkeypatch.setattr(os, "execv", replaced)
    with pytest.raises(Replaced) as caught:
        launcher.main([json.dumps(LIMITS), "/bin/tool", "-a", "b"])
    assert caught.value.args == ("/bin/tool", ["/bin/tool", "-a", "b"])
    assert signal.SIGPIPE in restored
    assert signal.SIGTERM in blocked


def test_other_systems_get_what_they_know(
    kernel: Callable[[int], Any], limits: dict[int, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = kernel(5)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: None)
    with pytest.raises(SystemExit) as caught:
        launcher.main([json.dumps(LIMITS), "/nonexistent/tool"])
    assert caught.value.code == launcher.NOT_STARTED
    assert limits
    assert library.calls == []


def test_a_tool_whose_worker_died_before_it_could_listen_does_not_start() -> None:
    orphan = json.dumps(LIMITS | {"parent": -1})
    done = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, orphan, "/bin/echo", "started"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (launcher.HINDERED, b"")
    assert done.stderr == b"launcher: its worker is gone"


@pytest.mark.skipif(not filters(), reason="this kernel has no seccomp")
def test_the_kernel_that_takes_filters_but_not_this_one_starts_no_tool() -> None:
    limits = json.dumps(LIMITS | {"calls": [[0xFFFF, 0, 0, 0]]})
    done = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, limits, "/bin/echo", "started"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (launcher.HINDERED, b"")
    assert done.stderr == b"launcher: seccomp did not rise: Invalid argument"


def test_its_own_faults_are_not_taken_for_the_tools() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, "{}", "/bin/echo", "started"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (launcher.HINDERED, b"")
    assert done.stderr.startswith(b"launcher: KeyError")


def test_it_stops_itself_where_its_parent_is_another(kernel: Callable[[int], Any]) -> None:
    with pytest.raises(SystemExit) as caught:
        launcher.die_with_parent(kernel(5), parent=-1)
    assert caught.value.code == launcher.HINDERED
