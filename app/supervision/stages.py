"""Stops programs of one priority together, and the stages one after another, the highest first."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any


class Stage:
    """Several process groups that supervisord stops as if they were one."""

    def __init__(self, groups: Iterable[Any]) -> None:
        self._groups = list(groups)

    def stop_all(self) -> None:
        """Ask every process of the stage to stop; one that is stopping already is left alone."""
        for group in self._groups:
            group.stop_all()

    def get_unstopped_processes(self) -> list[Any]:
        """The processes that have not ended yet."""
        return [process for group in self._groups for process in group.get_unstopped_processes()]


def by_priority(groups: Iterable[Any]) -> list[Stage]:
    """The stages in ascending priority. supervisord stops from the end of its list."""
    ordered = sorted(groups, key=_priority)
    return [Stage(members) for _, members in groupby(ordered, key=_priority)]


def _priority(group: Any) -> int:
    priority: int = group.config.priority
    return priority
