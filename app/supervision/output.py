"""Writes the stack's lines without ever making supervisord wait for their reader."""

import os
import signal
import threading
import time
from collections import deque
from typing import Final

from app.core.logging import LINE_LIMIT, encode_line, timestamp
from app.supervision.targets import Target

BUFFER_BYTES: Final = 4 * 1024 * 1024
FAILED_PAUSE: Final = 1.0
"""Seconds until the next try where a line cannot be written, as on a full disk."""


class Writer:
    """A bounded buffer and the thread that empties it. When it is full, the oldest lines go, counted.

    So do the lines of a write that failed, for nobody knows how much of them was written; those that come
    after it wait for the next try.
    """

    def __init__(self, target: Target, *, limit: int = BUFFER_BYTES, pause: float = FAILED_PAUSE) -> None:
        self._target = target
        self._limit = limit
        self._pause = pause
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._deadline: float | None = None
        self._reopen = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Take one line with its break. Never blocks on the reader."""
        with self._changed:
            self._lines.append(line)
            self._size += len(line)
            while self._size > self._limit:
                self._size -= len(self._lines.popleft())
                self._dropped += 1
            self._changed.notify()

    def reopen(self) -> None:
        """Open the file again before the next line: somebody moved it."""
        self._reopen = True

    def close(self, timeout: float) -> None:
        """Write what is left for at most ``timeout`` seconds and end the thread."""
        with self._changed:
            self._deadline = time.monotonic() + timeout
            self._changed.notify()
        self._thread.join(timeout + 1)

    def _run(self) -> None:
        # A signal that this thread took would not wake the main loop from its poll.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while batch := self._next():
            closing = self._deadline is not None
            if self._write(*batch):
                continue
            if closing:
                break
            self._rest()
        self._target.close()

    def _next(self) -> tuple[bytes, int] | None:
        """Wait for lines and for room; several short lines go out together. None at the end."""
        with self._changed:
            while not self._lines:
                if self._deadline is not None:
                    return None
                self._changed.wait()
        while not self._target.ready():
            if self._deadline is not None and time.monotonic() > self._deadline:
                return None
        with self._changed:
            return self._take()

    def _take(self) -> tuple[bytes, int]:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return _report(dropped), dropped
        taken = [self._lines.popleft()]
        total = len(taken[0])
        while self._lines and total + len(self._lines[0]) <= LINE_LIMIT:
            taken.append(self._lines.popleft())
            total += len(taken[-1])
        self._size -= total
        return b"".join(taken), len(taken)

    def _rest(self) -> None:
        """Wait before the next try, for a thread that tries again and again would hold up supervisord.

        A close ends the wait, and what is left is tried once more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._deadline is not None, self._pause)

    def _write(self, data: bytes, lines: int) -> bool:
        if self._reopen:
            self._reopen = False
            self._target.close()
        try:
            self._target.write(data)
        except OSError:
            # The reader went away, or the disk is full: said as soon as writing works again.
            with self._changed:
                self._dropped += lines
            return False
        return True


def _report(dropped: int) -> bytes:
    message = f"{dropped} log lines were dropped here: they could not be written in time"
    return encode_line(
        {
            "timestamp": timestamp(time.time()),
            "level": "WARNING",
            "message": message,
            "logger": "supervisord",
            "process": os.getpid(),
            "dropped": dropped,
        }
    )
