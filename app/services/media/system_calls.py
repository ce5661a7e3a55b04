"""What a media tool may ask of the system: a program by which the kernel judges each of them (seccomp).

The launcher, which knows nothing of the application, is given its steps and hands them to the kernel.
"""

import errno
from functools import cache
from typing import Final

from app.services.media.launcher import PR_SET_PDEATHSIG
from app.services.media.refused_calls import FORKS, LEGACY, REFUSED

Step = tuple[int, int, int, int | None]
"""Of classic BPF: code, steps to skip where it holds and where not, value (None: the tool's process id)."""

# include/uapi/linux/seccomp.h, filter.h and audit.h
ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST, SECOND, THIRD = 0, 4, 16, 24, 32
"""Places in what a filter is shown, the last three those of a call's arguments."""
MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Of a machine its column in the tables of numbers, and what the kernel calls it."""
X32: Final = 0x40000000
"""The other numbers of x86-64, which mean the same calls."""

CLONE_THREAD, CLONE_NAMESPACES = 0x00010000, 0x7E020000

# include/uapi/linux/fcntl.h and asm-generic/fcntl.h: who is sent a signal, and which, when a file changes.
F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY = 8, 10, 15, 1024, 1026

# include/uapi/linux/fs.h and fsverity.h: attributes of a file that is but open for reading.
FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY = 0x40086602, 0x401C5820, 0x40806685

# include/uapi/linux/resource.h
PRIO_PROCESS = 0

# include/uapi/asm-generic/fcntl.h
O_WRONLY, O_RDWR, O_TRUNC = 0x1, 0x2, 0x200

# Numbers as in ``refused_calls``.
OPEN, OPENAT, OPENAT2 = (2, None), (257, 56), (437, 437)
CLONE, CLONE3, PRCTL, FCNTL, IOCTL = (56, 220), (435, 435), (157, 167), (72, 25), (16, 29)
KILL, TGKILL, PRLIMIT, SETPRIORITY = (62, 129), (234, 131), (302, 261), (141, 140)


def only(argument: int, *values: int | None) -> list[Step]:
    """Refuse the call unless its argument is one of these."""
    tests: list[Step] = [
        (IF_EQUAL, left, 0, value) for left, value in zip(range(len(values), 0, -1), values, strict=True)
    ]
    return [(LOAD, 0, 0, argument), *tests, (RETURN, 0, 0, REFUSE)]


def none_of(argument: int, *values: int) -> list[Step]:
    """Refuse the call where its argument is one of these."""
    tests = (((IF_EQUAL, 0, 1, value), (RETURN, 0, 0, REFUSE)) for value in values)
    return [(LOAD, 0, 0, argument), *(step for test in tests for step in test)]


def no_cutting(argument: int) -> list[Step]:
    """Refuse to cut a file to nothing but by opening it to write, which is all that old Landlocks look at."""
    return [
        (LOAD, 0, 0, argument),
        (IF_ANY_BIT, 0, 4, O_TRUNC),
        (IF_ANY_BIT, 0, 1, O_WRONLY),
        # Both bits at once stand for neither reading nor writing.
        (IF_ANY_BIT, 1, 2, O_RDWR),
        (IF_ANY_BIT, 1, 0, O_RDWR),
        (RETURN, 0, 0, REFUSE),
    ]


def by_argument(*, processes: bool) -> dict[tuple[int, int | None], list[Step]]:
    """Of calls that are judged by what they ask: the steps that refuse some of it."""
    thread: list[Step] = [] if processes else [(IF_ANY_BIT, 1, 0, CLONE_THREAD), (RETURN, 0, 0, REFUSE)]
    return {
        CLONE: [
            (LOAD, 0, 0, FIRST),
            *((IF_ANY_BIT, 0, 1, CLONE_NAMESPACES), (RETURN, 0, 0, REFUSE)),
            *thread,
        ],
        OPEN: no_cutting(SECOND),
        OPENAT: no_cutting(THIRD),
        KILL: only(FIRST, None),
        TGKILL: only(FIRST, None),
        PRLIMIT: only(FIRST, 0, None),
        # Itself; the C library's `nice` is made of it, which encoders lower their threads by.
        SETPRIORITY: [*only(FIRST, PRIO_PROCESS), *only(SECOND, 0, None)],
        # What ends it with its worker, which it must not undo.
        PRCTL: none_of(FIRST, PR_SET_PDEATHSIG),
        FCNTL: none_of(SECOND, F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY),
        IOCTL: none_of(SECOND, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY),
    }


@cache
def judging(machine: str, *, processes: bool) -> tuple[Step, ...]:
    """The program's steps; none for a machine that is not among ``MACHINES``.

    Args:
        machine: as ``uname`` names it.
        processes: whether the tool may start others; threads it always may.
    """
    if machine not in MACHINES:
        return ()
    column, architecture = MACHINES[machine]
    legacy = {**LEGACY, **({} if processes else FORKS)} if machine == "x86_64" else {}
    refused = [*(numbers[column] for numbers in REFUSED.values()), *legacy.values()]
    steps: list[Step] = [
        *((LOAD, 0, 0, ARCHITECTURE), (IF_EQUAL, 1, 0, architecture), (RETURN, 0, 0, REFUSE)),
        (LOAD, 0, 0, NUMBER),
        *([(IF_AT_LEAST, 0, 1, X32), (RETURN, 0, 0, REFUSE)] if machine == "x86_64" else []),
        # Each with its own refusal behind it: a step cannot skip more than 255.
        *(step for number in refused for step in ((IF_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE))),
        # Their flags lie in memory, which a filter cannot read; the C library then takes the older one.
        *(
            step
            for number in (CLONE3[column], OPENAT2[column])
            for step in ((IF_EQUAL, 0, 1, number), (RETURN, 0, 0, UNKNOWN))
        ),
    ]
    for numbers, judged in by_argument(processes=processes).items():
        if (number := numbers[column]) is not None:
            steps += [(IF_EQUAL, 0, len(judged) + 1, number), *judged, (RETURN, 0, 0, ALLOW)]
    return (*steps, (RETURN, 0, 0, ALLOW))
