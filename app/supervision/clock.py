"""A tick a second in supervisord's main loop; its own shortest is five seconds."""

from typing import Any

from supervisor.events import TICK_EVENTS, TickEvent


class SecondTick(TickEvent):  # type: ignore[misc] # supervisor has no types
    """Sent once a second; the main loop wakes at least that often."""

    period = 1


def add_second_tick() -> None:
    """Have supervisord send it. The list outlives a reload, so it is entered once."""
    ticks: list[Any] = TICK_EVENTS
    if SecondTick not in ticks:
        ticks.append(SecondTick)
