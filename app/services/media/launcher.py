"""Confine this process, then become the tool.

Started as a file of its own by ``python -I -S launcher.py LIMITS PROGRAM ARGUMENT...``: the standard library
only, nothing of the application. LIMITS is a JSON object as ``run.py`` writes it. What the system does not
offer (Landlock before Linux 5.13, seccomp on a processor that is not listed, all of Linux's own on macOS) is
left out; the rest still holds. What it does offer must rise, or the tool does not start. Called with
``walls CALLS`` it raises them and tells which ones stand.
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

# include/uapi/linux/prctl.h, securebits.h and capability.h
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 28, 47, 4
NO_RIGHTS_OF_ROOT = 0xEF
"""That root is an account as any other, ambient capabilities are none, and neither can be changed."""
CAPABILITIES, CAPABILITY_VERSION = 64, 0x20080522

# Numbers that are the same on every architecture of Linux (include/uapi/asm-generic/unistd.h).
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_ADD_RULE = 445
LANDLOCK_RESTRICT_SELF = 446

# include/uapi/linux/landlock.h
VERSION_FLAG = 1
RULE_PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_REG, TRUNCATE = 1 << 5, 1 << 8, 1 << 14
WORK = WRITE_FILE | READ_FILE | READ_DIR | REMOVE_FILE | MAKE_REG | TRUNCATE
"""In the folder that it works in: plain files, no folders, links, pipes, sockets or devices."""
RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
NETWORK_SINCE, TCP = 4, 3
SCOPES_SINCE, SCOPES = 6, 3

# include/uapi/linux/seccomp.h
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

SYSTEM = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/bin", "/lib", "/lib32", "/lib64"),
    *("/usr/local/lib", "/usr/local/lib64", "/usr/local/bin", "/nix/store"),
    *("/etc/ld.so.cache", "/dev/null", "/dev/urandom"),
)
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
    # macOS knows RLIMIT_AS and refuses to set it; Linux has all of them.
    unknown = () if sys.platform == "linux" else (ValueError, OSError)
    for name, value in chosen.items():
        _, hard = resource.getrlimit(name)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(*unknown):
            resource.setrlimit(name, (ceiling, ceiling))


def die_with_parent(libc: ctypes.CDLL, parent: int) -> None:
    """End with the worker that asked, even when it is killed; at once where it is gone already."""
    must("the end with its worker", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        give_up(HINDERED, "its worker is gone")


def give_up(code: int, words: str) -> NoReturn:
    """End without the tool and say why."""
    sys.stderr.write(f"{PREFIX}: {words}")
    sys.exit(code)


def must(wall: str, result: int) -> None:
    """Start no tool where a wall that the system offers did not rise; another attempt may see it stand."""
    if result < 0:
        give_up(HINDERED, f"{wall} did not rise: {os.strerror(ctypes.get_errno())}")


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """Leave root, too, no rights but those of the files that it owns, nor any way to more."""
    header, held = struct.pack("=Ii", CAPABILITY_VERSION, 0), ctypes.create_string_buffer(24)
    must("the loss of capabilities", libc.capget(header, held))
    if not any(held.raw):
        return
    # These two need CAP_SETPCAP; without it `no_new_privs` alone keeps away what the last one takes.
    for number in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    libc.prctl(PR_SET_SECUREBITS, NO_RIGHTS_OF_ROOT, 0, 0, 0)
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    must("the loss of capabilities", libc.capset(header, bytes(24)))


def load_libc() -> ctypes.CDLL:
    """The C library, for what Python has no name for."""
    return ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """The version of Landlock that the kernel offers; less than 1 where it offers none."""
    return int(load_libc().syscall(LANDLOCK_CREATE_RULESET, None, 0, VERSION_FLAG))


def confine(libc: ctypes.CDLL, program: str, readable: list[str], writable: list[str]) -> bool:
    """Shut out every file but the tool, the system's libraries and the given paths, and every TCP socket.

    Returns:
        Whether the kernel can (Landlock).
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
    must("Landlock", ruleset)
    reading = READ_FILE | READ_DIR
    for path in (*SYSTEM, *tool_folders(program)):
        allow(libc, ruleset, path, EXECUTE | reading)
    for path in readable:
        allow(libc, ruleset, path, reading)
    for path in writable:
        allow(libc, ruleset, path, WORK & every)
    must("Landlock", libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return True


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


def refuse_calls(libc: ctypes.CDLL, steps: list[list[int | None]]) -> bool:
    """Have each system call judged by a program, for good; ``no_new_privs`` must be set.

    Args:
        libc: the C library.
        steps: as ``system_calls.py`` writes them; None stands for this process. None of them, no wall.

    Returns:
        Whether the kernel can (seccomp).
    """
    if not steps or not takes_filters(libc):
        return False
    pid = os.getpid()
    program = b"".join(
        struct.pack("=HBBI", *(pid if word is None else word for word in step)) for step in steps
    )
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(steps), ctypes.addressof(held))
    must("seccomp", libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described))
    return True


def takes_filters(libc: ctypes.CDLL) -> bool:
    """Whether the kernel would take a program, by how it refuses none at all."""
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, None)
    return ctypes.get_errno() == errno.EFAULT


def raise_walls(program: str, limits: dict[str, Any]) -> dict[str, bool]:
    """Everything of Linux's own; which of what not every kernel has stands."""
    libc = load_libc()
    must("no_new_privs", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    confined = confine(libc, program, limits["readable"], limits["writable"])
    drop_capabilities(libc)
    die_with_parent(libc, limits["parent"])
    # The last one: it forbids some of what the others are raised with.
    return {"landlock": confined, "seccomp": refuse_calls(libc, limits["calls"])}


def tell_walls(calls: list[list[int | None]]) -> None:
    """Try them, and write one line of JSON."""
    nothing = {"readable": [], "writable": [], "parent": os.getppid(), "calls": calls}
    stand = raise_walls(sys.executable, nothing) if sys.platform == "linux" else {}
    sys.stdout.write(json.dumps({"landlock": False, "seccomp": False} | stand))


def main(arguments: list[str]) -> None:
    """Confine, then exec. Does not return, but for the word ``walls``."""
    if arguments[0] == "walls":
        tell_walls(json.loads(arguments[1]))
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
