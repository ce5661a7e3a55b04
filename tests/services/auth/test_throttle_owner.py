"""What owners of attacked accounts may do, what success costs, and what of refusals is written down."""

import pytest
from sqlalchemy import select

from app.core.database import Sessions
from app.exceptions.base import TooManyRequestsException
from app.models.audit_event import AuditEvent
from app.services.auth.familiar import TRUSTED
from app.services.auth.throttle import SUCCESS_TIMES, Door, Throttle
from tests.accounts import OWNER
from tests.services.auth.conftest import LIMIT
from tests.services.auth.test_throttle import EMAIL, Make, guess, guess_from_everywhere, is_let_in

NEW_PLACE = "203.0.113.1"

pytestmark = pytest.mark.usefixtures("redis", "one_window")


async def at(throttle: Throttle, moment: float) -> None:
    throttle._counters.clock = lambda: moment


async def test_who_answered_a_mail_at_a_new_place_passes_the_attack(make: Make) -> None:
    throttle = make()
    await guess_from_everywhere(throttle)
    assert not await is_let_in(throttle, NEW_PLACE)
    await throttle.trust(NEW_PLACE, EMAIL)
    assert await is_let_in(throttle, NEW_PLACE)
    assert not await is_let_in(throttle, "203.0.113.2")


async def test_an_answered_mail_forgives_the_slips_at_its_address(make: Make) -> None:
    throttle = make()
    for _ in range(LIMIT):
        await guess(throttle, NEW_PLACE)
    pair = f"{Door.LOGIN}:{throttle._digest(EMAIL)}:{NEW_PLACE}"
    assert (await throttle._counters.read(throttle._pair, pair)).value == LIMIT
    await throttle.trust(NEW_PLACE, EMAIL)
    assert (await throttle._counters.read(throttle._pair, pair)).value == 0


async def test_an_answered_mail_is_known_for_a_day_and_no_longer_than_two(make: Make) -> None:
    throttle = make()
    await throttle.trust(NEW_PLACE, EMAIL)
    now = throttle._counters.clock()
    known = []
    for days in (0, 0.99, 2):
        await at(throttle, now + days * TRUSTED.seconds)
        known.append(await throttle._familiar.is_known(NEW_PLACE, throttle._digest(EMAIL), EMAIL))
    assert known == [True, True, False]


async def test_guesses_at_logins_keep_no_session_from_its_password(make: Make) -> None:
    throttle = make()
    await guess_from_everywhere(throttle)
    await throttle.check(NEW_PLACE, EMAIL, Door.SESSION)


async def test_a_session_may_not_guess_without_end(make: Make) -> None:
    throttle = make()
    for _ in range(LIMIT):
        await throttle.check(NEW_PLACE, EMAIL, Door.SESSION)
        await throttle.failed(NEW_PLACE, EMAIL, Door.SESSION)
    with pytest.raises(TooManyRequestsException):
        await throttle.check(NEW_PLACE, EMAIL, Door.SESSION)


async def test_one_account_may_not_keep_everybody_waiting_with_good_logins(make: Make) -> None:
    throttle = make()
    for number in range(LIMIT * SUCCESS_TIMES):
        assert await is_let_in(throttle, f"192.0.2.{number}")
        await throttle.succeeded(f"192.0.2.{number}", EMAIL)
    assert not await is_let_in(throttle, NEW_PLACE)
    assert await is_let_in(throttle, NEW_PLACE, "somebody@example.com")


async def test_a_success_gives_back_to_the_window_that_it_took_from(make: Make) -> None:
    throttle = make()
    now = throttle._counters.clock()
    since = await throttle.check(NEW_PLACE, EMAIL)
    await at(throttle, now + 86400)
    await throttle.succeeded(NEW_PLACE, EMAIL, since=since)
    outcomes = [await guess(throttle, NEW_PLACE, f"{number}@example.com") for number in range(2 * LIMIT)]
    assert sum(outcomes) == LIMIT


async def test_a_refusal_is_written_down_once_a_window(make: Make, sessions: Sessions) -> None:
    throttle = make()
    for _ in range(3 * LIMIT):
        await guess(throttle, NEW_PLACE)
    async with sessions() as session:
        [event] = await session.scalars(select(AuditEvent))
    assert (event.event, event.user_id, event.address) == ("login.limited", OWNER, NEW_PLACE)
    assert event.details == {"door": "login"}


async def test_a_refusal_carries_the_headers_of_its_own_limit(make: Make) -> None:
    throttle = make()
    for number in range(LIMIT):
        await throttle.check(NEW_PLACE, f"{number}@example.com")
    with pytest.raises(TooManyRequestsException) as refused:
        await throttle.check(NEW_PLACE, EMAIL)
    headers = refused.value.headers
    assert (headers["RateLimit-Limit"], headers["RateLimit-Remaining"]) == (str(LIMIT), "0")
    assert headers["RateLimit-Reset"] == headers["Retry-After"]
