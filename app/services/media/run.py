"""Running a media tool on a stranger's file: bounded in time, memory and output, and never outliving us."""

import asyncio
import json
import os
import re
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.services.media.launcher import HINDERED, NOT_STARTED, PREFIX
from app.services.media.system_calls import judging
from app.services.media.tools import ToolMissingError

LAUNCHER: Final = Path(__file__).with_name("launcher.py")

THREADS: Final = 2
"""Threads of one tool."""

_NICE: Final = 10
_READ: Final = 64 * 1024
_CPU_SHARE: Final = 0.5
"""Of its limit of processor time, what a tool killed by that limit is seen to have used at least: the kernel
counts the limit by ticks, of which a host's other guests take a part, and tells the time that was left."""
_KEPT_ERRORS: Final = 8 * 1024


class ToolFailedError(Exception):
    """The tool ended badly; the message is its own, in one line.

    Args:
        message: what it said, or what ended it.
        errors: the end of its standard error.
    """

    def __init__(self, message: str, errors: str = "") -> None:
        self.errors = errors
        super().__init__(message)


class ToolLimitError(ToolFailedError):
    """The tool went over a limit of time, output or file size and was killed."""


class ToolHinderedError(Exception):
    """The tool could not do its work, and that says nothing of the file: another attempt may do it."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that tools are given by its descriptor, under a path that means this very file.

    The walls around a tool let a file through, not a name. When the same content is stored again, its name
    comes to mean another file, which may be after the walls went up and before the tool opens it.
    """

    path: Path
    descriptor: int


@contextmanager
def held_open(path: Path) -> Iterator[OpenFile]:
    """Hold a file of ours open for tools; what they made themselves is opened by ``made``. Blocks.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        yield inherited(file.fileno(), path)


def inherited(descriptor: int, path: Path) -> OpenFile:
    """What is open already, for tools; ``path`` is its name."""
    same = Path(f"/proc/self/fd/{descriptor}")
    # Other systems than Linux have neither these walls nor this path.
    return OpenFile(same if same.exists() else path, descriptor)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of a tool may use.

    ``seconds`` of wall clock, ``memory`` in bytes of address space, ``output`` in bytes of standard output
    that is kept, ``file_size`` in bytes of any file that it writes (0: it may write none), ``processes``
    whether it may start others, ``threads`` how many may be busy all the time.
    """

    seconds: float
    memory: int
    output: int
    file_size: int = 0
    processes: bool = False
    threads: int = THREADS


Hear = Callable[[bytes], Awaitable[object]]


async def run_tool(
    program: Path,
    arguments: Sequence[str],
    *,
    folder: Path,
    reads: OpenFile,
    limits: Limits,
    libraries: Sequence[Path] = (),
    hear: Hear | None = None,
) -> bytes:
    """Run a tool in a process group of its own and return its standard output.

    Args:
        program: an absolute path, as ``find_tools`` gives it.
        arguments: never made of what a user sent; ``reads.path`` names the file.
        folder: the private folder that it works in, and the only one that it may write to.
        reads: the one file of ours that it may read, which it inherits.
        limits: over which it is killed.
        libraries: files and folders of its own that it may read too.
        hear: given its output as it comes, of which none is kept then.

    Raises:
        ToolFailedError: it ended with an error.
        ToolLimitError: it went over a limit.
        ToolMissingError: there is no such program.
        ToolHinderedError: something else ended it, or kept it from its start.
        OSError: no process could be started.
    """
    before = _processor_seconds()
    process = await asyncio.create_subprocess_exec(
        *_launcher(program, folder, [reads.path, *libraries], limits),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=folder,
        env=_environment(folder),
        pass_fds=(reads.descriptor,),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limits.seconds):
            output, errors = await _communicate(process, limits.output, hear)
            code = await process.wait()
    except TimeoutError as error:
        raise ToolLimitError(f"it took longer than {limits.seconds:g} seconds") from error
    finally:
        await _end(process)
    if code == -signal.SIGKILL and _processor_seconds() - before >= _cpu(limits) * _CPU_SHARE:
        raise ToolLimitError("it used up its processor time")
    if code != 0:
        raise _failure(program, code, errors)
    return output


def _launcher(program: Path, folder: Path, readable: Sequence[Path], limits: Limits) -> list[str]:
    options: Mapping[str, object] = {
        "parent": os.getpid(),
        "nice": _NICE,
        "cpu": _cpu(limits),
        "memory": limits.memory,
        "file_size": limits.file_size,
        "calls": judging(os.uname().machine, processes=limits.processes),
        "readable": [str(path) for path in readable],
        "writable": [str(folder)],
    }
    return [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(options), str(program)]


def _cpu(limits: Limits) -> int:
    """Seconds of processor time of all its threads together; the wall clock ends what only waits."""
    return max(1, int(limits.seconds) * limits.threads)


def _processor_seconds() -> float:
    """What all processes have used that this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment(folder: Path) -> dict[str, str]:
    # Nothing of our own: the environment holds secrets. Few arenas, or address space runs out on many cores.
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "MALLOC_ARENA_MAX": "2",
    }


async def _communicate(process: Process, limit: int, hear: Hear | None) -> tuple[bytes, bytes]:
    output, errors = bytearray(), bytearray()
    async with asyncio.TaskGroup() as group:
        taking = _hand_over(process, hear) if hear else _take_output(process, output, limit)
        group.create_task(taking)
        group.create_task(_take_errors(process, errors))
    if len(output) > limit:
        raise ToolLimitError(f"it wrote more than {limit} bytes")
    return bytes(output), bytes(errors)


async def _take_output(process: Process, output: bytearray, limit: int) -> None:
    assert process.stdout is not None  # noqa: S101 - it was asked for; this tells the type checker
    while chunk := await process.stdout.read(_READ):
        if len(output) > limit:
            # What was in the pipe when it was killed is read to its end and dropped.
            continue
        output += chunk
        if len(output) > limit:
            _kill(process)


async def _hand_over(process: Process, hear: Hear) -> None:
    assert process.stdout is not None  # noqa: S101 - it was asked for; this tells the type checker
    while chunk := await process.stdout.read(_READ):
        await hear(chunk)


async def _take_errors(process: Process, errors: bytearray) -> None:
    assert process.stderr is not None  # noqa: S101 - it was asked for; this tells the type checker
    while chunk := await process.stderr.read(_READ):
        errors += chunk
        # The end says why it stopped.
        del errors[:-_KEPT_ERRORS]


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _end(process: Process) -> None:
    """Kill the whole group where it still runs, and see it gone."""
    if process.returncode is None:
        _kill(process)
        # Not wait(): some Pythons end that only when the pipes are read to their end.
        await process.communicate()


_OVER: Final = {
    -signal.SIGXCPU: "it used up its processor time",
    -signal.SIGXFSZ: "it wrote a file that is too large",
}
"""Ends at a limit that the kernel keeps."""

_CRASHES: Final = frozenset(
    -number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP)
)
"""Ends that a hostile file can bring about; any other signal came from outside, as where memory ran out."""

_UNSEEN: Final = 255
"""What asyncio tells of an end that it did not see, and ffmpeg of a signal that it was sent."""


def _failure(program: Path, code: int, errors: bytes) -> Exception:
    text = errors.decode(errors="replace").replace("\0", "")
    if hindrance := _hindrance(code, text):
        return ToolHinderedError(f"{program} was hindered: {hindrance}")
    if code == NOT_STARTED and text.startswith(PREFIX):
        return ToolMissingError(f"{program} could not be started{text.removeprefix(PREFIX)}")
    if code in _OVER:
        return ToolLimitError(_OVER[code], text)
    message = f"it crashed by signal {-code}" if code < 0 else _first_line(text)
    return ToolFailedError(message or f"it ended with exit code {code}", text)


def _hindrance(code: int, text: str) -> str | None:
    """What ended the tool, or kept it from its start, that is neither its own nor the file's."""
    if code < 0 and code not in _OVER and code not in _CRASHES:
        return f"signal {-code}"
    if code == HINDERED and text.startswith(PREFIX):
        return text
    if code == _UNSEEN and not text.strip():
        return f"exit code {code} without a word"
    # The launcher's Python, which found no memory or no files for its own start.
    return _first_line(text) if text.startswith("Fatal Python error") else None


def _first_line(text: str) -> str:
    """What was wrong first, without the part of the tool that says it."""
    lines = (re.sub(r"^(\[[^\]]*\] *)+", "", line).strip() for line in text.splitlines())
    return next((line for line in lines if line), "")
