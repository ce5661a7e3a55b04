"""The program by which the kernel judges the tools' system calls, on both kinds of processor."""

import errno
import os
import struct
from pathlib import Path

import pytest

from app.services.media import launcher, system_calls
from app.services.media.refused_calls import FORKS, LEGACY, REFUSED
from app.services.media.run import Limits, ToolFailedError
from app.services.media.system_calls import ALLOW, REFUSE, UNKNOWN, Step, judging
from tests.servers import DEADLINE
from tests.services.media.test_run import MIB, on_linux, python
from tests.services.media.walls import filters

PID = 4321
ACCESS_MODES = os.O_WRONLY | os.O_RDWR
MACHINES = sorted(system_calls.MACHINES)

needs_filters = pytest.mark.skipif(not filters(), reason="this kernel has no seccomp")


def verdict(
    steps: tuple[Step, ...], machine: str, number: int, *arguments: int, architecture: int = 0
) -> int:
    """What the kernel's interpreter would say (linux/filter.h, the instructions that are used here)."""
    architecture = architecture or system_calls.MACHINES[machine][1]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    place, loaded = 0, 0
    while True:
        code, if_true, if_false, given = steps[place]
        value = PID if given is None else given
        place += 1
        if code == system_calls.RETURN:
            return int(value)
        if code == system_calls.LOAD:
            loaded = struct.unpack_from("=I", data, value)[0]
            continue
        holds = {
            system_calls.IF_EQUAL: loaded == value,
            system_calls.IF_AT_LEAST: loaded >= value,
            system_calls.IF_ANY_BIT: bool(loaded & value),
        }[code]
        place += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_what_no_tool_needs_is_refused(machine: str) -> None:
    program = judging(machine, processes=True)
    column = system_calls.MACHINES[machine][0]
    for name, numbers in REFUSED.items():
        assert verdict(program, machine, numbers[column]) == REFUSE, name
    assert verdict(program, machine, system_calls.CLONE3[column]) == UNKNOWN
    assert verdict(program, machine, system_calls.OPENAT2[column]) == UNKNOWN
    for name, number in LEGACY.items() if machine == "x86_64" else ():
        assert verdict(program, machine, number) == REFUSE, name


@pytest.mark.parametrize("machine", MACHINES)
def test_what_every_tool_needs_is_allowed(machine: str) -> None:
    numbers = {"x86_64": (0, 1, 9, 59, 202, 231, 257), "aarch64": (63, 64, 222, 221, 98, 94, 56)}
    program = judging(machine, processes=False)
    # read, write, mmap, execve, futex, exit_group, openat
    assert {verdict(program, machine, number) for number in numbers[machine]} == {ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("call", "argument", "alone", "with_processes"),
    [
        (system_calls.CLONE, 0x003D0F00, ALLOW, ALLOW),
        (system_calls.CLONE, 17, REFUSE, ALLOW),
        (system_calls.CLONE, 0x10000000 | 17, REFUSE, REFUSE),
        (system_calls.KILL, PID, ALLOW, ALLOW),
        (system_calls.KILL, 1, REFUSE, REFUSE),
        (system_calls.TGKILL, PID, ALLOW, ALLOW),
        (system_calls.TGKILL, PID + 1, REFUSE, REFUSE),
        (system_calls.PRCTL, launcher.PR_SET_PDEATHSIG, REFUSE, REFUSE),
        (system_calls.PRCTL, 15, ALLOW, ALLOW),
        (system_calls.PRLIMIT, 0, ALLOW, ALLOW),
        (system_calls.PRLIMIT, PID, ALLOW, ALLOW),
        (system_calls.PRLIMIT, PID + 1, REFUSE, REFUSE),
    ],
    ids=[
        *("thread", "child", "namespace", "itself", "init", "own", "others", "outlive", "name"),
        *("its limits", "own limits", "others' limits"),
    ],
)
def test_some_calls_are_judged_by_what_they_ask(
    machine: str, call: tuple[int, int], argument: int, alone: int, with_processes: int
) -> None:
    number = call[system_calls.MACHINES[machine][0]]
    assert verdict(judging(machine, processes=False), machine, number, argument) == alone
    assert verdict(judging(machine, processes=True), machine, number, argument) == with_processes


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        (system_calls.SETPRIORITY, (0, 0), ALLOW),
        (system_calls.SETPRIORITY, (0, PID), ALLOW),
        (system_calls.SETPRIORITY, (0, PID + 1), REFUSE),
        (system_calls.SETPRIORITY, (1, 0), REFUSE),
        (system_calls.SETPRIORITY, (2, 0), REFUSE),
        (system_calls.FCNTL, (3, 8), REFUSE),
        (system_calls.FCNTL, (3, 10), REFUSE),
        (system_calls.FCNTL, (3, 15), REFUSE),
        (system_calls.FCNTL, (3, 1024), REFUSE),
        (system_calls.FCNTL, (3, 1026), REFUSE),
        (system_calls.FCNTL, (8, 4), ALLOW),
        (system_calls.IOCTL, (3, 0x40086602), REFUSE),
        (system_calls.IOCTL, (3, 0x401C5820), REFUSE),
        (system_calls.IOCTL, (3, 0x40806685), REFUSE),
        (system_calls.IOCTL, (3, 0x5401), ALLOW),
    ],
)
def test_some_calls_are_judged_by_their_second_argument(
    machine: str, call: tuple[int, int], arguments: tuple[int, int], expected: int
) -> None:
    number = call[system_calls.MACHINES[machine][0]]
    assert verdict(judging(machine, processes=False), machine, number, *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (os.O_RDONLY, ALLOW),
        (os.O_WRONLY | 0x200, ALLOW),
        (os.O_RDWR | 0x200, ALLOW),
        (os.O_RDONLY | 0x200, REFUSE),
        (ACCESS_MODES | 0x200, REFUSE),
        (ACCESS_MODES, ALLOW),
    ],
)
def test_only_what_is_opened_to_write_can_be_cut_down(machine: str, flags: int, expected: int) -> None:
    program, column = judging(machine, processes=False), system_calls.MACHINES[machine][0]
    assert verdict(program, machine, system_calls.OPENAT[column], 3, 0, flags) == expected
    if machine == "x86_64":
        assert verdict(program, machine, system_calls.OPEN[0], 0, flags) == expected


def test_no_call_is_listed_twice() -> None:
    for column in system_calls.MACHINES.values():
        numbers = [each[column[0]] for each in REFUSED.values()]
        assert len(set(numbers)) == len(numbers)
    legacy = [*LEGACY.values(), *FORKS.values()]
    assert not set(legacy) & {each[0] for each in REFUSED.values()}


def test_calls_by_the_numbers_of_another_architecture_are_refused() -> None:
    program = judging("x86_64", processes=True)
    i386, read = 0x40000003, 0
    assert verdict(program, "x86_64", read, architecture=i386) == REFUSE
    assert verdict(program, "x86_64", system_calls.X32 | read) == REFUSE
    assert verdict(program, "x86_64", FORKS["fork"]) == ALLOW
    assert verdict(judging("x86_64", processes=False), "x86_64", FORKS["fork"]) == REFUSE


def test_an_unknown_machine_goes_without() -> None:
    assert judging("riscv64", processes=False) == ()
    assert not launcher.refuse_calls(launcher.load_libc(), [])


ALONE = Limits(seconds=DEADLINE, memory=512 * MIB, output=MIB)


@on_linux
@needs_filters
@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("import os; os.fork()", errno.EPERM),
        ("import os; os.kill(os.getppid(), 0)", errno.EPERM),
        ("import os; os.memfd_create('x')", errno.EPERM),
        ("import os; os.pidfd_open(os.getpid())", errno.EPERM),
        ("import resource, os; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)", errno.EPERM),
        ("import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)", errno.EPERM),
        ("import os; os.sched_setaffinity(os.getppid(), [0])", errno.EPERM),
        ("import fcntl, os; fcntl.fcntl(1, 8, os.getppid())", errno.EPERM),
        ("import os; os.setuid(os.getuid())", errno.EPERM),
        ("import os; os.mknod('x')", errno.EPERM),
        ("import os; os.symlink('/etc/passwd', 'x')", errno.EPERM),
        ("import os; os.chmod('.', 0o777)", errno.EPERM),
        ("import os; os.chmod(1, 0o777)", errno.EPERM),
        ("import os; os.chown('.', -1, -1)", errno.EPERM),
        ("import os; os.utime('.')", errno.EPERM),
        ("import os; os.truncate('.', 0)", errno.EPERM),
        ("import os; os.open('.', os.O_RDONLY | os.O_TRUNC)", errno.EPERM),
        ("import os; os.setxattr('.', 'user.x', b'x')", errno.EPERM),
    ],
)
async def test_the_kernel_refuses_it(tmp_path: Path, code: str, number: int) -> None:
    folder, source = tmp_path / "work", tmp_path / "source"
    folder.mkdir()
    source.touch()
    with pytest.raises(ToolFailedError, match=f"PermissionError\\({number}, "):
        await python(code, folder, source, ALONE)


@on_linux
@needs_filters
async def test_a_socket_of_any_kind_is_refused(tmp_path: Path) -> None:
    folder, source = tmp_path / "work", tmp_path / "source"
    folder.mkdir()
    source.touch()
    code = """
 import ctypes
 libc = ctypes.CDLL(None, use_errno=True)
 print([(libc.socket(family, 1, 0), ctypes.get_errno()) for family in (1, 2, 10, 16, 17)])
"""
    try:
        said = await python(f"pass\n{code}", folder, source, ALONE)
    except ToolFailedError as error:
        if "ModuleNotFoundError" in str(error) or "ImportError" in str(error):
            pytest.skip("this Python keeps ctypes where the wall hides it")
        raise
    assert said.strip() == str([(-1, errno.EPERM)] * 5)


@on_linux
@needs_filters
async def test_threads_are_no_processes(tmp_path: Path) -> None:
    folder, source = tmp_path / "work", tmp_path / "source"
    folder.mkdir()
    source.touch()
    code = (
        "import _thread; ended = _thread.allocate_lock(); ended.acquire(); "
        "_thread.start_new_thread(lambda: (print('ran', flush=True), ended.release()), ()); ended.acquire()"
    )
    assert await python(code, folder, source, ALONE) == "ran\n"
