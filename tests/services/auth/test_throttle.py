"""Guessing is slowed down; those whose passwords are guessed are not locked out."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from app.core.database import Sessions, transaction
from app.exceptions.base import TooManyRequestsException
from app.models.base import new_id
from app.models.session import Session
from app.services.auth.throttle import ACCOUNT_TIMES, Throttle
from tests.accounts import EMAILS, OWNER
from tests.services.auth.conftest import LIMIT

EMAIL = EMAILS[OWNER]
HOME = "2001:db8:1:2::7"
ACCOUNT = LIMIT * ACCOUNT_TIMES

pytestmark = pytest.mark.usefixtures("redis", "one_window")

Make = Callable[..., Throttle]


async def is_let_in(throttle: Throttle, address: str | None, email: str = EMAIL) -> bool:
    try:
        await throttle.check(address, email)
    except TooManyRequestsException:
        return False
    return True


async def guess(throttle: Throttle, address: str | None, email: str = EMAIL) -> bool:
    """One bad attempt; whether its password was looked at."""
    if not await is_let_in(throttle, address, email):
        return False
    await throttle.failed(address, email)
    return True


async def guess_from_everywhere(throttle: Throttle) -> None:
    """Reach the limit of an account, from addresses that each stay under theirs."""
    for number in range(ACCOUNT):
        assert await guess(throttle, f"198.51.100.{number}")


async def log_in_from(sessions: Sessions, address: str, *, days_ago: int = 0) -> None:
    when = datetime.now(UTC) - timedelta(days=days_ago)
    async with transaction(sessions) as session:
        session.add(
            Session(
                id=new_id(),
                user_id=OWNER,
                refresh_hash="0" * 64,
                last_used_at=when,
                expires_at=when + timedelta(days=60),
                address=address,
            )
        )


async def test_an_address_may_fail_so_many_times(make: Make) -> None:
    throttle = make()
    outcomes = [await guess(throttle, "192.0.2.1", f"{number}@example.com") for number in range(10)]
    assert outcomes == [True] * LIMIT + [False] * (10 - LIMIT)


async def test_a_refusal_says_when_to_try_again(make: Make) -> None:
    throttle = make(RATE_LIMIT_LOGIN="1/minute")
    await throttle.check("192.0.2.1", "a@example.com")
    with pytest.raises(TooManyRequestsException) as refused:
        await throttle.check("192.0.2.1", "b@example.com")
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60


async def test_another_address_goes_on(make: Make) -> None:
    throttle = make()
    for number in range(10):
        await guess(throttle, "192.0.2.1", f"{number}@example.com")
    assert await guess(throttle, "192.0.2.2")


async def test_parallel_guesses_are_no_more_than_guesses_one_by_one(make: Make) -> None:
    throttle = make()
    outcomes = await asyncio.gather(*(guess(throttle, "192.0.2.1", f"{n}@example.com") for n in range(50)))
    assert sum(outcomes) == LIMIT


async def test_processes_count_together(make: Make) -> None:
    throttles = make(), make()
    outcomes = [await guess(throttles[n % 2], "192.0.2.1", f"{n}@example.com") for n in range(10)]
    assert sum(outcomes) == LIMIT


async def test_a_customer_of_ipv6_is_one_address(make: Make) -> None:
    throttle = make()
    outcomes = [await guess(throttle, f"2001:db8::{n}", f"{n}@example.com") for n in range(10)]
    assert sum(outcomes) == LIMIT
    assert await guess(throttle, "2001:db8:0:1::1")


async def test_who_logs_in_gives_the_place_back(make: Make) -> None:
    """An office behind one address, all of it logging in at once."""
    throttle = make()
    for number in range(10):
        email = f"{number}@example.com"
        await throttle.check("192.0.2.1", email)
        await throttle.succeeded("192.0.2.1", email)


async def test_a_success_does_not_buy_guesses_at_others(make: Make) -> None:
    """The attacker has an account too."""
    throttle = make()
    looked_at = 0
    for _ in range(10):
        if await is_let_in(throttle, "192.0.2.1", "attacker@example.com"):
            await throttle.succeeded("192.0.2.1", "attacker@example.com")
        looked_at += await guess(throttle, "192.0.2.1", EMAIL)
    assert looked_at == LIMIT


async def test_slow_guesses_at_one_account_are_fewer(make: Make) -> None:
    throttle = make(RATE_LIMIT_LOGIN=f"{LIMIT}/day")
    now = throttle._counters.clock()
    day, looked_at = 86400, 0
    for number in range(5):
        throttle._counters.clock = lambda number=number: now + number * day  # type: ignore[misc]
        looked_at += sum([await guess(throttle, "192.0.2.1") for _ in range(LIMIT)])
    # Five days may be of two windows of ten.
    assert looked_at in {LIMIT, 2 * LIMIT}


async def test_an_account_is_bounded_over_all_addresses(make: Make) -> None:
    throttle = make()
    await guess_from_everywhere(throttle)
    assert not await guess(throttle, "203.0.113.1")
    assert await guess(throttle, "203.0.113.1", "somebody@example.com")


async def test_the_owner_gets_in_from_a_known_address_during_the_attack(
    make: Make, sessions: Sessions
) -> None:
    await log_in_from(sessions, HOME)
    throttle = make()
    await guess_from_everywhere(throttle)
    assert await is_let_in(throttle, HOME)
    # Another address of the same customer is the same place.
    assert await is_let_in(throttle, "2001:db8:1:2::8")


async def test_an_address_is_forgotten_after_30_days(make: Make, sessions: Sessions) -> None:
    await log_in_from(sessions, HOME, days_ago=31)
    throttle = make()
    await guess_from_everywhere(throttle)
    assert not await is_let_in(throttle, HOME)


async def test_a_known_address_may_not_guess_without_end(make: Make, sessions: Sessions) -> None:
    await log_in_from(sessions, HOME)
    throttle = make()
    await guess_from_everywhere(throttle)
    assert sum([await guess(throttle, HOME) for _ in range(20)]) == LIMIT


async def test_what_is_away_is_counted_in_this_process_by_its_share(make: Make) -> None:
    throttle = make(REDIS_URL="redis://127.0.0.1:1", RATE_LIMIT_LOGIN="6/day", API_PROCESSES="2")
    outcomes = [await guess(throttle, "192.0.2.1", f"{number}@example.com") for number in range(200)]
    assert sum(outcomes) == 3


async def test_redis_knows_no_address_of_a_mailbox(make: Make, redis: Redis) -> None:
    throttle = make()
    await guess(throttle, "192.0.2.1")
    await throttle.mail(EMAIL)
    keys = await redis.keys("*")
    assert len(keys) >= 3
    assert not any("owner" in key or "example" in key for key in keys)


async def test_a_mailbox_is_not_flooded(make: Make) -> None:
    throttle = make(RATE_LIMIT_RESET="2/day")
    await throttle.mail(EMAIL)
    await throttle.mail(EMAIL.upper())
    with pytest.raises(TooManyRequestsException):
        await throttle.mail(EMAIL)
    await throttle.mail("somebody@example.com")


async def test_mails_of_one_kind_do_not_keep_those_of_another_away(make: Make) -> None:
    """Else who registers an address again and again would keep its owner from a new password."""
    throttle = make(RATE_LIMIT_RESET="1/day")
    await throttle.mail(EMAIL, "registered")
    await throttle.mail(EMAIL, "forgotten")
    with pytest.raises(TooManyRequestsException):
        await throttle.mail(EMAIL, "registered")


async def test_limits_can_be_off(make: Make) -> None:
    throttle = make(RATE_LIMIT_ENABLED="false", RATE_LIMIT_RESET="1/day")
    assert all([await guess(throttle, "192.0.2.1") for _ in range(20)])
    for _ in range(5):
        await throttle.mail(EMAIL)
