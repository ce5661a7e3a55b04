"""Turns a forked child of supervisord into its program, without executing a new Python."""

import atexit
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

from setproctitle import setproctitle


def become(module: str, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run a module as ``python -m`` does, and end with its exit code. Never returns to supervisord.

    Args:
        module: what is run as ``__main__``; its code may be in memory already.
        argv: the whole command, of which the module sees what follows ``-m``.
        environment: all variables of the program.
    """
    code = 1
    try:
        _forget_supervisord(argv, environment)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = _exit_code(end.code)
    except BaseException:  # noqa: BLE001 - as an interpreter ends: nothing may reach supervisord's own code
        traceback.print_exc()
    finally:
        _end(code)


def _forget_supervisord(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Take over what an ``exec`` would have given: title, arguments, variables, and default signals."""
    setproctitle(f"{environment['SUPERVISOR_PROCESS_NAME']}: {' '.join(argv)}")
    for number in (signal.SIGCHLD, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(argv[2:])


def _exit_code(given: object) -> int:
    if given is None:
        return 0
    if isinstance(given, int):
        return given
    sys.stderr.write(f"{given}\n")
    return 1


def _end(code: int) -> NoReturn:
    """End as an interpreter does, but for finalizers: they would close supervisord's descriptors."""
    try:
        # As the standard library's multiprocessing ends its children.
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - typeshed leaves it out
        atexit._run_exitfuncs()  # noqa: SLF001
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
