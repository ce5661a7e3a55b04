"""Lets the programs share the memory of their code: supervisord loads it once, and they are forked with it.

A program that is executed holds all its code for itself, which is most of an idle stack. Where a file of the
loaded code has changed since supervisord began, a program is executed after all, with the code as it is now.
"""

import gc
import hashlib
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from setproctitle import getproctitle

from app.supervision.becoming import become
from app.supervision.journal import Journal

_CELERY: Final = (
    "billiard.heap",
    "billiard.popen_fork",
    "billiard.sharedctypes",
    "billiard.synchronize",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.backends.base",
    "celery.events.receiver",
    "encodings.idna",
    "kombu.transport.redis",
)

CODE: Final[dict[str, tuple[str, ...]]] = {
    "api": (
        "anyio._backends._asyncio",
        "app.main",
        "app.server.serving",
        "fastapi.telemetry._runtime",
        "starlette_compress._brotli",
        "starlette_compress._gzip",
        "starlette_compress._zstd_legacy",
        "uvloop",
    ),
    "worker": (
        *_CELERY,
        "app.workers.consumer",
        "app.workers.parent",
        "app.workers.tasks",
        "celery.apps.worker",
        "celery.concurrency.prefork",
        "celery.worker.autoscale",
        "celery.worker.components",
        "celery.worker.consumer.delayed_delivery",
        "celery.worker.strategy",
    ),
    "beat": (*_CELERY, "app.workers.schedule", "celery.apps.beat"),
}
"""What each program has loaded when it is ready, by the modules that bring the rest with them."""

OPTIONAL: Final = frozenset({"starlette_compress._zstd_legacy", "uvloop"})
"""What some systems and versions of Python do without."""

_STARTED: Final = time.time_ns()


@dataclass(frozen=True, slots=True)
class Loaded:
    """Code that supervisord holds."""

    files: str
    """Paths, separated by null characters: one object, for who looks at an object copies its page."""
    state: bytes | None
    """What the files were when they were loaded; None where that cannot be told."""
    faults: tuple[str, ...]
    """A sentence for each module that could not be loaded."""


class Preloading:
    """Loads the code before the first of these programs starts, and forks them.

    Args:
        options: supervisord's.
        programs: those that may be forked, each ``python -m MODULE ...``; the others are executed.
    """

    def __init__(self, options: Any, programs: Iterable[str], journal: Journal) -> None:
        self._programs = frozenset(programs)
        self._journal = journal
        self._loaded: Loaded | None = None
        if self._programs:
            self._execve: Callable[..., None] = options.execve
            options.execve = self._start

    def starting(self, process: Any) -> None:
        """A process is about to be forked: load what it shares, once."""
        if self._loaded is not None or process.group.config.name not in self._programs:
            return
        self._loaded = load(
            tuple(sorted({module for name in self._programs for module in CODE.get(name, ())}))
        )
        for fault in self._loaded.faults:
            self._journal.say("WARNING", fault)
        # Only now it begins: by this time it is told from another process of the same number.
        process.laststart = time.time()

    def _start(self, filename: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Stand in for ``options.execve``, in the child."""
        program = environment.get("SUPERVISOR_GROUP_NAME")
        if program in self._programs and list(argv[:2]) == [sys.executable, "-m"] and self._is_unchanged():
            become(argv[2], argv, environment)
        else:
            self._execve(filename, argv, environment)

    def _is_unchanged(self) -> bool:
        loaded = self._loaded
        return loaded is not None and loaded.state is not None and state_of(loaded.files) == loaded.state


@cache  # a reload of supervisord loads nothing anew, and must not take what is there then for what it holds
def load(modules: tuple[str, ...]) -> Loaded:
    """Load modules, and keep them where forked processes share them."""
    faults = tuple(fault for fault in map(_load, modules) if fault)
    files = "\0".join(sorted(_files()))
    loaded = Loaded(files, state_of(files) if _are_settled(files) else None, faults)
    getproctitle()  # finds where the title stands, which a changed environment would hide
    # What stays is kept out of the collector, which would copy each page it looks at.
    gc.collect()
    gc.freeze()
    return loaded


def _load(module: str) -> str:
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the program that needs it will tell
        if isinstance(error, ModuleNotFoundError) and module in OPTIONAL:
            return ""
        return f"{module} is not shared: {type(error).__name__}: {error}"
    return ""


def state_of(files: str) -> bytes | None:
    """What tells these files from others; None where one is gone.

    Not the time at which a file's entry changed: installers share files between environments by links, and
    each link that comes or goes changes it.
    """
    seen = hashlib.sha256()
    try:
        for file in files.split("\0"):
            found = Path(file).stat()
            seen.update(repr((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)).encode())
    except OSError:
        return None
    return seen.digest()


def _are_settled(files: str) -> bool:
    """Whether none has changed in any way since supervisord began; one that has may not be what is loaded."""
    try:
        return all(Path(file).stat().st_ctime_ns <= _STARTED for file in files.split("\0"))
    except OSError:
        return False


def _files() -> set[str]:
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {file for file in files if file}
