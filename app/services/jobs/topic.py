"""One watched job: its newest events, kept for whoever waits for them."""

from collections import deque
from typing import Final, Protocol

from app.services.jobs.history import Event

KEPT: Final = 64
"""Events of a job that are kept for those who fall behind; beyond, they read the table by themselves."""


class Waiting(Protocol):
    """Somebody who waits for events."""

    def wake(self) -> None:
        """There is something new."""


class Topic:
    """One watched job: its newest events, and who waits for more.

    All events after ``floor`` and up to ``newest`` are in ``kept``.
    """

    __slots__ = ("floor", "followers", "is_watched", "kept", "newest")

    def __init__(self, cursor: int, kept: int) -> None:
        self.is_watched = False
        self.floor = self.newest = cursor
        self.kept: deque[Event] = deque(maxlen=kept)
        self.followers: set[Waiting] = set()

    def add(self, event: Event) -> None:
        """Keep the next event, at the cost of the oldest."""
        if event.id <= self.newest:
            return
        if len(self.kept) == self.kept.maxlen:
            self.floor = self.kept[0].id
        self.kept.append(event)
        self.newest = event.id

    def after(self, cursor: int) -> list[Event] | None:
        """The events after one, None where they are not all here."""
        if cursor < self.floor:
            return None
        return [event for event in self.kept if event.id > cursor]
