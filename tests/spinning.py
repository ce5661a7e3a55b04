"""A plugin of coverage that keeps Python 3.11 from spinning where many threads are measured."""

import sys
import weakref
from collections.abc import Callable
from typing import Any


class Deferring(weakref.WeakKeyDictionary[Any, Any]):
    """A dictionary that notes its dead keys without running Python code, and drops them at the next new one.

    Coverage keeps one of greenlets for each thread. A thread's own greenlet is freed in a pending call of the
    main thread. Python 3.11 traces the usual callback there, and where another thread ends at that moment, it
    begins the callback's first instruction again and again.
    """

    data: dict[Any, Any]
    _pending_removals: list[Any]
    _iterating: set[Any]
    _commit_removals: Callable[[], None]

    def __init__(self, *given: Any) -> None:
        super().__init__()
        self._remove = self._pending_removals.append
        self.update(*given)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep a value as long as its key lives."""
        if not self._iterating:
            self._commit_removals()
        super().__setitem__(key, value)

    def _scrub_removals(self) -> None:
        # In its place: the callback appends to this list and to no other.
        self._pending_removals[:] = [key for key in self._pending_removals if key in self.data]
        self._dirty_len = False


def coverage_init(_registry: object, _options: object) -> None:
    """Called by coverage in each process that it measures, before it begins."""
    if sys.version_info < (3, 12):
        weakref.WeakKeyDictionary = Deferring  # type: ignore[misc, assignment]
