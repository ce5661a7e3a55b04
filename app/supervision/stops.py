"""Stops that come while supervisord loads.

A container's first process has no default signals: one that it does not handle yet would be lost, and the
stop would last until the end of its grace period.
"""

import signal
from typing import Final

STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


def hold() -> None:
    """Let stops wait, over an ``exec`` too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def release() -> None:
    """Take what waited and what comes, before there are children to inherit the mask."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
