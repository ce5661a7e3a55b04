"""Starts children so that a signal which reaches them at once is not lost.

A child of supervisord runs with supervisord's own signal handlers until it becomes its program. A stop signal
that arrives in between is only noted, then forgotten, and the stop waits for ``stopwaitsecs`` to kill it.
"""

import os
import signal
from typing import Any, Final

_STOP_SIGNALS: Final = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}


def fork() -> int:
    """Fork as ``os.fork`` does; the child has the default handlers of the stop signals from the first."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def use_safe_fork(options: Any) -> None:
    """Have supervisord fork by it."""
    options.fork = fork
