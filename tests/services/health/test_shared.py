"""One answer for many askers."""

import asyncio

import pytest

from app.services.health import shared
from app.services.health.shared import Shared


class Maker:
    def __init__(self) -> None:
        self.made = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.made += 1
        await self.may_end.wait()
        return self.made


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shared, "monotonic", clock)
    return clock


async def test_fifty_at_once_are_one() -> None:
    maker = Maker()
    value = Shared(maker)
    asked = [asyncio.create_task(value.get()) for _ in range(50)]
    await asyncio.sleep(0)
    maker.may_end.set()
    assert await asyncio.gather(*asked) == [1] * 50


async def test_a_value_is_kept_for_its_time(clock: Clock) -> None:
    maker = Maker()
    maker.may_end.set()
    value = Shared(maker, seconds=1)
    assert await value.get() == 1
    clock.seconds += 0.9
    assert await value.get() == 1
    clock.seconds += 0.2
    assert await value.get() == 2


async def test_an_asker_that_goes_away_does_not_take_it_from_others() -> None:
    maker = Maker()
    value = Shared(maker)
    first, second = asyncio.create_task(value.get()), asyncio.create_task(value.get())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    maker.may_end.set()
    assert await second == 1


async def test_closing_ends_what_is_being_made() -> None:
    value = Shared(Maker())
    asked = asyncio.create_task(value.get())
    await asyncio.sleep(0)
    await value.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_closing_what_was_never_asked_is_nothing() -> None:
    await Shared(Maker()).aclose()
