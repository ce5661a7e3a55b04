"""Ends what a program leaves behind when its main process dies: nothing may run beside its successor."""

import os
import signal
from typing import Any

from app.supervision.journal import Journal


def end_leftovers(process: Any, journal: Journal) -> None:
    """Kill the process group of a program whose main process is gone.

    supervisord gives each program a group of its own, and itself kills it only after a stop that took too
    long. Linux ends a Celery worker's children together with it; other systems and other programs do not.
    """
    if process.pid <= 1:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it left nothing
    except PermissionError:
        journal.say("WARNING", f"{process.config.name}: what it left behind belongs to another user")
    else:
        journal.say("WARNING", f"{process.config.name}: what its main process left behind was killed")
