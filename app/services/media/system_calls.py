"""Which system calls no media tool needs: a program by which the kernel judges each of them (seccomp).

The launcher, which knows nothing of the application, is given its steps and hands them to the kernel.
"""

import errno
from functools import cache
from typing import Final

from app.services.media.launcher import PR_SET_PDEATHSIG

Step = tuple[int, int, int, int | None]
"""Of classic BPF: code, steps to skip where it holds and where not, value (None: the tool's process id)."""

# include/uapi/linux/seccomp.h, filter.h and audit.h
ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Of a machine its column in the tables of numbers, and what the kernel calls it."""
X32: Final = 0x40000000
"""The other numbers of x86-64, which mean the same calls."""

CLONE_THREAD, CLONE_NAMESPACES = 0x00010000, 0x7E020000

# Numbers on x86-64 and on arm64 (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
REFUSED: Final = {
    # Connections of any kind, to the kernel too; io_uring makes them without these calls.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Other processes: their memory, their files, their end, and getting out of the group that is killed.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "process_madvise": (440, 440),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # Another view of the file system, and files that no path names.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "unshare": (272, 97),
    "setns": (308, 268),
    "execveat": (322, 281),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "quotactl": (179, 60),
    # Large parts of the kernel that are known for their holes.
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # The machine itself.
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "personality": (135, 92),
}
LEGACY: Final = {"iopl": 172, "ioperm": 173, "modify_ldt": 154}
"""Of x86-64 alone, like the two that follow."""
FORKS: Final = {"fork": 57, "vfork": 58}
CLONE, CLONE3, KILL, TGKILL, PRCTL = (56, 220), (435, 435), (62, 129), (234, 131), (157, 167)


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
    itself: list[Step] = [(LOAD, 0, 0, FIRST_ARGUMENT), (IF_EQUAL, 1, 0, None), (RETURN, 0, 0, REFUSE)]
    thread: list[Step] = [] if processes else [(IF_ANY_BIT, 1, 0, CLONE_THREAD), (RETURN, 0, 0, REFUSE)]
    by_argument: dict[tuple[int, int], list[Step]] = {
        CLONE: [
            (LOAD, 0, 0, FIRST_ARGUMENT),
            *((IF_ANY_BIT, 0, 1, CLONE_NAMESPACES), (RETURN, 0, 0, REFUSE)),
            *thread,
        ],
        KILL: itself,
        TGKILL: itself,
        # What ends it with its worker, which it must not undo.
        PRCTL: [(LOAD, 0, 0, FIRST_ARGUMENT), (IF_EQUAL, 0, 1, PR_SET_PDEATHSIG), (RETURN, 0, 0, REFUSE)],
    }
    steps: list[Step] = [
        *((LOAD, 0, 0, ARCHITECTURE), (IF_EQUAL, 1, 0, architecture), (RETURN, 0, 0, REFUSE)),
        (LOAD, 0, 0, NUMBER),
        *([(IF_AT_LEAST, 0, 1, X32), (RETURN, 0, 0, REFUSE)] if machine == "x86_64" else []),
        *(step for number in refused for step in ((IF_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE))),
        # Its flags lie in memory, which a filter cannot read; the C library then takes the older one.
        *((IF_EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, UNKNOWN)),
    ]
    for numbers, judged in by_argument.items():
        steps += [(IF_EQUAL, 0, len(judged) + 1, numbers[column]), *judged, (RETURN, 0, 0, ALLOW)]
    return (*steps, (RETURN, 0, 0, ALLOW))
