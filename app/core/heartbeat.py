"""A file that a program touches after each completed cycle; the supervisor's watchdog reads its age.

The file is local and needs neither broker nor database, so their death is never blamed on a program.
"""

import os
import time
from pathlib import Path
from typing import Final

ENVIRONMENT_NAME: Final = "HEARTBEAT_FILE"


class Heartbeat:
    """The heartbeat file of this process; does nothing where the supervisor named none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @classmethod
    def from_environment(cls) -> "Heartbeat":
        """The file that the supervisor chose for this program through ``HEARTBEAT_FILE``."""
        name = os.environ.get(ENVIRONMENT_NAME)
        return cls(Path(name) if name else None)

    def beat(self) -> None:
        """Record that a cycle completed now. A full or read-only disk must not stop the work."""
        if self._path is None:
            return
        try:
            self._path.touch()
        except OSError:
            return


def age(path: Path, *, now: float | None = None) -> float | None:
    """Seconds since the last completed cycle, or None where there was none yet."""
    try:
        return (time.time() if now is None else now) - path.stat().st_mtime
    except OSError:
        return None
