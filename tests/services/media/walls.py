"""Which walls this machine has, for tests that need them."""

from app.services.media.walls import NAMES, missing_walls


def filters() -> bool:
    """Whether the kernel takes a filter of system calls."""
    return NAMES["seccomp"] not in missing_walls()
