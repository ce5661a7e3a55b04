"""Counting in Redis, and in this process while Redis is away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.core.config import AppSettings
from app.core.limits import Allowances, Counters, Limit
from app.core.limits import counters as module
from app.core.limits.allowances import chunk_of
from app.core.redis import create_redis
from tests.servers import DEADLINE
from tests.serving import NOBODY, Cable

LIMIT = Limit(60, 86400)
PROCESSES = 2

pytestmark = pytest.mark.usefixtures("one_window")


@pytest.fixture
async def counters(settings: AppSettings, redis: Redis) -> AsyncIterator[Counters]:
    made = Counters(create_redis(settings.redis), processes=PROCESSES, patience=10)
    yield made
    await made.aclose()


@pytest.fixture
async def alone(settings: AppSettings) -> AsyncIterator[Counters]:
    """Of a process whose Redis refuses."""
    refusing = settings.redis.model_copy(update={"url": type(settings.redis.url)(f"redis://{NOBODY}")})
    made = Counters(create_redis(refusing), processes=PROCESSES, patience=10)
    yield made
    await made.aclose()


@pytest.fixture
async def cable(settings: AppSettings, redis: Redis) -> AsyncIterator[Cable]:
    cable = Cable(settings.redis.url.get_secret_value())
    await cable.mend()
    yield cable
    await cable.cut()


@pytest.fixture
async def behind_cable(settings: AppSettings, cable: Cable) -> AsyncIterator[Counters]:
    address = cable.through(settings.redis.url.get_secret_value())
    reached = settings.redis.model_copy(update={"url": type(settings.redis.url)(address)})
    made = Counters(create_redis(reached), processes=PROCESSES, patience=10)
    yield made
    await made.aclose()


async def allowed(allowances: Allowances, times: int, limit: Limit = LIMIT, key: str = "key") -> int:
    return sum([(await allowances.spend(limit, key)).is_allowed for _ in range(times)])


async def test_all_processes_together_never_allow_more(settings: AppSettings, redis: Redis) -> None:
    processes = [Counters(create_redis(settings.redis), processes=3, patience=10) for _ in range(3)]
    try:
        each = await asyncio.gather(*(allowed(Allowances(counters), 60) for counters in processes))
    finally:
        for counters in processes:
            await counters.aclose()
    assert sum(each) == LIMIT.amount


async def test_what_processes_took_and_do_not_spend_is_a_chunk_each(
    settings: AppSettings, redis: Redis
) -> None:
    one, other = (Counters(create_redis(settings.redis), processes=2, patience=10) for _ in range(2))
    try:
        assert await allowed(Allowances(one), 1) == 1
        assert await allowed(Allowances(other), 100) == LIMIT.amount - chunk_of(LIMIT)
    finally:
        await one.aclose()
        await other.aclose()


async def test_parallel_requests_of_one_key_take_no_more_than_one_by_one(counters: Counters) -> None:
    allowances = Allowances(counters)
    standings = await asyncio.gather(*(allowances.spend(LIMIT, "key") for _ in range(100)))
    assert sum(standing.is_allowed for standing in standings) == LIMIT.amount


async def test_redis_is_asked_once_a_chunk(counters: Counters, redis: Redis) -> None:
    allowances = Allowances(counters)
    assert await allowed(allowances, 1, Limit(3000, 86400)) == 1  # the script is loaded by now
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert await allowed(allowances, 999, Limit(3000, 86400)) == 999
    after = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert after - before == 9


async def test_a_key_with_nothing_left_does_not_ask_redis_each_time(counters: Counters, redis: Redis) -> None:
    allowances = Allowances(counters)
    now = counters.clock()
    counters.clock = lambda: now
    await allowed(allowances, 61)
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert await allowed(allowances, 100) == 0
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == before


async def test_a_new_window_begins_anew(counters: Counters) -> None:
    allowances = Allowances(counters)
    now = counters.clock()
    counters.clock = lambda: now
    assert await allowed(allowances, 100) == LIMIT.amount
    counters.clock = lambda: now + LIMIT.seconds
    assert await allowed(allowances, 100) == LIMIT.amount


async def test_a_chunk_ends_with_its_window(counters: Counters) -> None:
    """Else what was taken before would be spent on top of the next window."""
    allowances = Allowances(counters)
    now = counters.clock()
    counters.clock = lambda: now
    await allowed(allowances, 1)
    counters.clock = lambda: now + LIMIT.seconds
    assert await allowed(allowances, 100) == LIMIT.amount


async def test_a_standing_tells_what_is_left_and_for_how_long(counters: Counters) -> None:
    standing = await Allowances(counters).spend(LIMIT, "key")
    assert standing.remaining == LIMIT.amount - 1
    assert 1 <= standing.wait <= LIMIT.seconds


async def test_keys_do_not_begin_their_windows_together() -> None:
    starts = {LIMIT.window(f"key{number}", 0.0).start for number in range(50)}
    assert len(starts) > 40


async def test_without_redis_a_process_allows_its_share(alone: Counters) -> None:
    assert await allowed(Allowances(alone), 200) == LIMIT.amount // PROCESSES


async def test_without_redis_the_smallest_limit_still_lets_one_through(alone: Counters) -> None:
    assert await allowed(Allowances(alone), 10, Limit(1, 86400)) == 1


async def test_without_redis_one_process_counts_a_bounded_number_of_keys(
    alone: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 10)
    for number in range(50):
        await alone.add(LIMIT, f"key{number}")
    assert len(alone._own.storage) <= 10


async def test_redis_that_is_away_is_left_alone_for_a_while(alone: Counters) -> None:
    asked = 0
    incr = alone._shared.incr

    async def counted(key: str, expiry: int, amount: int = 1) -> int:
        nonlocal asked
        asked += 1
        return await incr(key, expiry, amount)

    alone._shared.incr = counted  # type: ignore[method-assign]
    for _ in range(50):
        await alone.add(LIMIT, "key")
    assert asked < 50


async def test_redis_that_does_not_answer_is_not_waited_for(settings: AppSettings) -> None:
    """It takes the connection and says nothing; the client itself would wait for an hour."""
    over = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        await writer.wait_closed()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    address = f"redis://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    reached = settings.redis.model_copy(update={"url": type(settings.redis.url)(address), "timeout": 3600.0})
    counters = Counters(create_redis(reached), processes=PROCESSES, patience=0.05)
    async with asyncio.timeout(DEADLINE):
        count = await counters.add(LIMIT, "key")
    assert count.bound == LIMIT.amount // PROCESSES
    await counters.aclose()
    over.set()
    silent.close()
    await silent.wait_closed()


async def test_redis_counts_again_once_it_is_back(
    behind_cable: Counters, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    assert (await behind_cable.add(LIMIT, "key")).bound == LIMIT.amount
    await cable.cut()
    assert (await behind_cable.add(LIMIT, "key")).bound == LIMIT.amount // PROCESSES
    await cable.mend()
    count = await behind_cable.add(LIMIT, "key")
    assert (count.value, count.bound) == (2, LIMIT.amount)


async def test_a_change_is_logged_once(
    behind_cable: Counters, cable: Cable, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(module, "PAUSE", 0.0)
    await cable.cut()
    for _ in range(5):
        await behind_cable.add(LIMIT, "key")
    await cable.mend()
    for _ in range(5):
        await behind_cable.add(LIMIT, "key")
    told = [record.message for record in caplog.records if record.name == module.__name__]
    assert told == ["limits_redis_away", "limits_redis_back"]
