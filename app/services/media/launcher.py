"""Confine this process, then become the tool.

Started as a file of its own by ``python -I -S launcher.py LIMITS PROGRAM ARGUMENT...``: the standard library
only, nothing of the application. LIMITS is a JSON object as ``run.py`` writes it. What the system does not
offer (Landlock before Linux 5.13, seccomp on a processor that is not listed, all of Linux's own on macOS) is
left out; the rest still holds. Called with the word ``walls`` it raises them and tells which ones stand.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

HINDERED = 125
"""Exit code where the system was in the way, which another attempt may not meet."""

NOT_STARTED = 126
"""Exit code where there is no such program, or it cannot be run."""

PREFIX = "launcher"
"""How its own words begin, which go with these two codes."""

MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ELOOP)

STOPS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""What ends a service, often sent to each of its processes."""

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38

# Numbers that are the same on every architecture of Linux (include/uapi/asm-generic/unistd.h).
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_ADD_RULE = 445
LANDLOCK_RESTRICT_SELF = 446

# include/uapi/linux/landlock.h
VERSION_FLAG = 1
RULE_PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
NETWORK_SINCE, TCP = 4, 3
SCOPES_SINCE, SCOPES = 6, 3

# include/uapi/linux/seccomp.h, filter.h and audit.h
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Of a machine its column in the tables of numbers, and what the kernel calls it."""
X32 = 0x40000000
"""The other numbers of x86-64, which mean the same calls."""

CLONE_THREAD, CLONE_NAMESPACES = 0x00010000, 0x7E020000

# Numbers on x86-64 and on arm64 (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
REFUSED = {
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
LEGACY = {"iopl": 172, "ioperm": 173, "modify_ldt": 154}
"""Of x86-64 alone, like the two that follow."""
FORKS = {"fork": 57, "vfork": 58}
CLONE, CLONE3, KILL, TGKILL, PRCTL = (56, 220), (435, 435), (62, 129), (234, 131), (157, 167)

SYSTEM = ("/usr", "/lib", "/lib64", "/nix/store", "/etc/ld.so.cache", "/dev/null", "/dev/urandom")
"""What a dynamically linked tool loads itself from; no place of secrets or of other people's files."""


def limit(limits: dict[str, int]) -> None:
    """Set the resource limits, hard ones too, so that nothing can raise them again."""
    chosen = {
        resource.RLIMIT_CPU: limits["cpu"],
        resource.RLIMIT_AS: limits["memory"],
        resource.RLIMIT_FSIZE: limits["file_size"],
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for name, value in chosen.items():
        _, hard = resource.getrlimit(name)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # macOS knows RLIMIT_AS and refuses to set it.
        with suppress(ValueError, OSError):
            resource.setrlimit(name, (ceiling, ceiling))


def die_with_parent(libc: ctypes.CDLL, parent: int) -> None:
    """End with the worker that asked, even when it is killed; at once where it is gone already."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        give_up(HINDERED, "its worker is gone")


def give_up(code: int, words: str) -> NoReturn:
    """End without the tool and say why."""
    sys.stderr.write(f"{PREFIX}: {words}")
    sys.exit(code)


def load_libc() -> ctypes.CDLL:
    """The C library, for what Python has no name for."""
    return ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """The version of Landlock that the kernel offers; less than 1 where it offers none."""
    return int(load_libc().syscall(LANDLOCK_CREATE_RULESET, None, 0, VERSION_FLAG))


def confine(libc: ctypes.CDLL, program: str, readable: list[str], writable: list[str]) -> bool:
    """Shut out every file but the tool, the system's libraries and the given paths, and every TCP socket.

    Returns:
        Whether the kernel does it (Landlock).
    """
    version = landlock_version()
    if version < 1:
        return False
    every = RIGHTS_BY_VERSION[max(known for known in RIGHTS_BY_VERSION if known <= version)]
    network = TCP if version >= NETWORK_SINCE else 0
    scopes = SCOPES if version >= SCOPES_SINCE else 0
    attributes = struct.pack("=QQQ", every, network, scopes)
    size = 24 if scopes else 16 if network else 8
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return False
    reading = READ_FILE | READ_DIR
    for path in (*SYSTEM, *tool_folders(program)):
        allow(libc, ruleset, path, EXECUTE | reading)
    for path in readable:
        allow(libc, ruleset, path, reading)
    for path in writable:
        allow(libc, ruleset, path, every & ~EXECUTE)
    done: int = libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return done == 0


def tool_folders(program: str) -> list[str]:
    """The tool itself and, of a tree such as ``/opt/x/bin/ffmpeg``, the libraries beside it."""
    real = Path(program).resolve()
    beside = [str(real.parent.parent / "lib")] if real.parent.name == "bin" else []
    return [str(real), *beside]


def allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    """Add a rule for a path; one that does not exist needs none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not Path(path).is_dir():
        rights &= EXECUTE | WRITE_FILE | READ_FILE
    rule = struct.pack("=Qi", rights, descriptor)
    libc.syscall(LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
    os.close(descriptor)


def filtered(machine: str, pid: int, processes: bool) -> bytes:
    """The program by which the kernel judges each system call of the tool (seccomp, classic BPF).

    Args:
        machine: a name of ``MACHINES``.
        pid: of the tool, which may send signals to itself alone.
        processes: whether it may start others; threads it always may.
    """
    column, architecture = MACHINES[machine]
    legacy = {**LEGACY, **({} if processes else FORKS)} if machine == "x86_64" else {}
    refused = [*(numbers[column] for numbers in REFUSED.values()), *legacy.values()]
    itself = [(LOAD, 0, 0, FIRST_ARGUMENT), (IF_EQUAL, 1, 0, pid), (RETURN, 0, 0, REFUSE)]
    thread = [] if processes else [(IF_ANY_BIT, 1, 0, CLONE_THREAD), (RETURN, 0, 0, REFUSE)]
    by_argument = {
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
    steps = [
        *((LOAD, 0, 0, ARCHITECTURE), (IF_EQUAL, 1, 0, architecture), (RETURN, 0, 0, REFUSE)),
        (LOAD, 0, 0, NUMBER),
        *([(IF_AT_LEAST, 0, 1, X32), (RETURN, 0, 0, REFUSE)] if machine == "x86_64" else []),
        *(step for number in refused for step in ((IF_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE))),
        # Its flags lie in memory, which a filter cannot read; the C library then takes the older one.
        *((IF_EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, UNKNOWN)),
    ]
    for numbers, judged in by_argument.items():
        steps += [(IF_EQUAL, 0, len(judged) + 1, numbers[column]), *judged, (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in [*steps, (RETURN, 0, 0, ALLOW)])


def refuse_calls(libc: ctypes.CDLL, processes: bool) -> bool:
    """Refuse the system calls that no media tool needs, for good; ``no_new_privs`` must be set.

    Returns:
        Whether the kernel does it (seccomp).
    """
    machine = os.uname().machine
    if machine not in MACHINES:
        return False
    program = filtered(machine, os.getpid(), processes)
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(program) // 8, ctypes.addressof(held))
    return int(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described)) == 0


def raise_walls(program: str, limits: dict[str, Any]) -> dict[str, bool]:
    """Everything of Linux's own; which of it stands."""
    libc = load_libc()
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    confined = confine(libc, program, limits["readable"], limits["writable"])
    die_with_parent(libc, limits["parent"])
    # The last one: it forbids some of what the others are raised with.
    return {"landlock": confined, "seccomp": refuse_calls(libc, limits["processes"])}


def tell_walls() -> None:
    """Try them, and write one line of JSON."""
    nothing = {"readable": [], "writable": [], "parent": os.getppid(), "processes": False}
    stand = raise_walls(sys.executable, nothing) if sys.platform == "linux" else {}
    sys.stdout.write(json.dumps({"landlock": False, "seccomp": False} | stand))


def main(arguments: list[str]) -> None:
    """Confine, then exec. Does not return, but for the word ``walls``."""
    if arguments == ["walls"]:
        tell_walls()
        return
    limits, program, *rest = json.loads(arguments[0]), *arguments[1:]
    # Python ignores these two, and what is ignored stays so in the program that follows.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    # Its worker alone decides when it ends: half a tool's work looks like half a file.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    os.nice(limits["nice"])
    limit(limits)
    if sys.platform == "linux":
        raise_walls(program, limits)
    try:
        os.execv(program, [program, *rest])  # noqa: S606 - an absolute path and a list, without a shell
    except OSError as error:
        give_up(NOT_STARTED if error.errno in MISSING else HINDERED, str(error.strerror))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:  # noqa: BLE001 - none of it is the tool's, nor the file's
        give_up(HINDERED, repr(error))
