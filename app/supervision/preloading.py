"""Lets the programs share the memory of their code: supervisord loads it once, and they are forked with it.

A program that is executed holds all its code for itself, which is most of an idle stack. Where a file of the
loaded code has changed since supervisord began, a program is executed after all, with the code as it is now.
"""

import gc
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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

_STARTED: Final = time.time_ns()


class Preloading:
    """Loads the code before the first of these programs starts, and forks them.

    Args:
        options: supervisord's.
        programs: those that may be forked, each ``python -m MODULE ...``; the others are executed.
    """

    def __init__(self, options: Any, programs: Iterable[str], journal: Journal) -> None:
        self._programs = frozenset(programs)
        self._journal = journal
        self._loaded = False
        self._files = ""
        if self._programs:
            self._execve: Callable[..., None] = options.execve
            options.execve = self._start

    def starting(self, process: Any) -> None:
        """A process is about to be forked: load what it shares, once."""
        if self._loaded or process.group.config.name not in self._programs:
            return
        self._loaded = True
        for module in sorted({module for program in self._programs for module in CODE.get(program, ())}):
            self._load(module)
        self._files = "\0".join(sorted(_files()))
        getproctitle()  # finds where the title stands, which a changed environment would hide
        # What stays is kept out of the collector, which would copy each page it looks at.
        gc.collect()
        gc.freeze()

    def _load(self, module: str) -> None:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - the program that needs it will tell
            self._journal.say("WARNING", f"{module} is not shared: {type(error).__name__}: {error}")

    def _start(self, filename: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Stand in for ``options.execve``, in the child."""
        program = environment.get("SUPERVISOR_GROUP_NAME")
        if program in self._programs and list(argv[:2]) == [sys.executable, "-m"] and self._is_unchanged():
            become(argv[2], argv, environment)
        else:
            self._execve(filename, argv, environment)

    def _is_unchanged(self) -> bool:
        """Whether the code in memory is what its files hold: none was written or replaced meanwhile."""
        try:
            return all(Path(file).stat().st_ctime_ns <= _STARTED for file in self._files.split("\0"))
        except OSError:
            return False


def _files() -> set[str]:
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {file for file in files if file}
