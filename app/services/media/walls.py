"""Which of the kernel's walls stand around media tools: tried, not guessed."""

import json
import os
import subprocess
import sys
from typing import Final

from app.services.media.run import LAUNCHER
from app.services.media.system_calls import judging

NAMES: Final = {"landlock": "Landlock", "seccomp": "seccomp"}

_SECONDS: Final = 20.0


def missing_walls() -> tuple[str, ...]:
    """The names of those that this kernel, or the container's profile, does not let stand. Blocks."""
    calls = json.dumps(judging(os.uname().machine, processes=False))
    command = [sys.executable, "-I", "-S", str(LAUNCHER), "walls", calls]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_SECONDS
        )
        stand = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        # What cannot even be tried does not stand.
        stand = {}
    return tuple(shown for name, shown in NAMES.items() if not stand.get(name))
