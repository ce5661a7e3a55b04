"""How long a failed job waits for its next attempt."""

import random
from typing import Final

BASE: Final = 2.0
CAP: Final = 600.0


def backoff(failures: int, *, jitter: float | None = None) -> float:
    """Seconds to wait: doubled with each failure up to ten minutes, half of it at random.

    Args:
        failures: attempts that have failed, from 1.
        jitter: from 0 to 1; drawn where it is not given, so that jobs that failed together come apart.
    """
    longest = min(BASE * 2.0 ** min(failures - 1, 16), CAP)
    drawn = random.random() if jitter is None else jitter  # noqa: S311 - spreads load, guards nothing
    return longest * (0.5 + drawn / 2)
