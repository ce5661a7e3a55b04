"""Takes supervisord's own log over, so that it speaks JSON lines too."""

import os
import time
from collections.abc import Callable
from typing import Any, Final

from app.core.logging import encode_line, timestamp
from app.core.masking import mask_text

_LEVELS: Final = {50: "CRITICAL", 40: "ERROR", 30: "WARNING", 20: "INFO"}
_INFO: Final = 20


class Journal:
    """A handler of supervisord's logger, and the plugin's own voice in the same log."""

    level = _INFO

    def __init__(
        self, put: Callable[[bytes], None], *, reopen: Callable[[], None], end: Callable[[], None]
    ) -> None:
        self._put = put
        self._reopen = reopen
        self._end = end

    def say(self, level: str, message: str, **fields: Any) -> None:
        """Log one line under supervisord's name."""
        self._put(
            encode_line(
                {
                    "timestamp": timestamp(time.time()),
                    "level": level,
                    "message": mask_text(message),
                    "logger": "supervisord",
                    "process": os.getpid(),
                }
                | fields
            )
        )

    def emit(self, record: Any) -> None:
        """Write one of supervisord's records. Raises nothing: it is called in the middle of everything."""
        try:
            message = record.asdict()["message"]
        except Exception as error:  # noqa: BLE001 - a faulty record must not end supervision
            message = f"a log record could not be read: {error!r}"
        self.say(_LEVELS.get(record.level, "DEBUG"), message.rstrip())

    def reopen(self) -> None:
        """SIGUSR2: the log file was moved away."""
        self._reopen()

    def close(self) -> None:
        """The last thing that supervisord does, before a reload too."""
        self._end()

    def flush(self) -> None:
        """Nothing to do: the writer never holds back."""

    def remove(self) -> None:
        """``supervisorctl maintail`` and ``clear`` mean a file of supervisord's own; there is none."""
