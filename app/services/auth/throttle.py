"""Slows down who guesses passwords, without locking out those whose passwords they guess.

Four limits, all derived from RATE_LIMIT_LOGIN; what they count ends with its window, nothing locks for good:

- **An address** (IPv6: a /64) may fail so many times in a window. Each attempt takes its place before the
  password is looked at and a success gives it back: so a burst of parallel guesses has no more than that, and
  an office that logs in all at once behind one address is not refused.
- **An address at one account** may fail as often, in a window ten times as long: who goes on guessing
  slowly comes to a tenth of the pace. A success forgives the owner's own slips.
- **An account** may be tried ten times as often from all addresses together, in a window sixty times as
  long: what a thousand machines do together is bounded too. Alone, that would let any of them lock the owner
  out. So addresses with a login to that account in the last 30 days pass it, and those where a mail to the
  owner was answered in the last day: the owner at home does not notice the attack, one at a new place sets a
  new password by mail, while the attackers, whose addresses did neither, wait.
- **An account** may succeed ten times as often in a window: each success costs a hash, and it gives its
  place back. Only who knows the password can reach this limit.

Whoever holds a session and is asked for the password comes through another door, with counts of its own:
strangers who guess at logins cannot keep the owner from changing the password.

Without Redis each process counts alone and allows its share (`app.core.limits`). The last 30 days are read
from the table of sessions, which is there after Redis was lost, and only once the third limit is reached.
Redis knows accounts by keyed digests, and no address is told apart by whether it has an account.
"""

import hmac
from enum import StrEnum
from typing import Final

from sqlalchemy import select

from app.core.config.groups import RateLimitSettings
from app.core.database import Sessions, transaction
from app.core.limits import Count, Counters, Limit
from app.core.security import KeyRing
from app.exceptions.base import TooManyRequestsException
from app.models.user import User
from app.services.auth.audit import Event, record
from app.services.auth.familiar import Familiar
from app.services.auth.network import network_of
from app.services.auth.origin import Origin

PAIR_WINDOWS: Final = 10
ACCOUNT_WINDOWS: Final = 60
ACCOUNT_TIMES: Final = 10
SUCCESS_TIMES: Final = 10

_DIGITS: Final = 32


class Door(StrEnum):
    """Where a password is asked for; each has counts of its own."""

    LOGIN = "login"
    SESSION = "session"


class Throttle:
    """Counts attempts to log in, and mails that are asked for.

    Args:
        counters: where they are counted.
        sessions: where it is read whence an account logged in, and written that one was refused.
        keys: what digests of addresses are made with.
        limits: RATE_LIMIT_ENABLED, RATE_LIMIT_LOGIN and RATE_LIMIT_RESET.
    """

    def __init__(
        self, counters: Counters, sessions: Sessions, keys: KeyRing, limits: RateLimitSettings
    ) -> None:
        self._counters = counters
        self._sessions = sessions
        self._familiar = Familiar(counters, sessions)
        self._key = keys.current("throttle").secret
        self._enabled = limits.enabled
        self._address = Limit.parse(limits.login)
        self._pair = self._address.longer(PAIR_WINDOWS)
        self._account = self._address.longer(ACCOUNT_WINDOWS, amount=self._address.amount * ACCOUNT_TIMES)
        self._successes = self._address.longer(1, amount=self._address.amount * SUCCESS_TIMES)
        self._mail = Limit.parse(limits.reset)

    async def check(self, address: str | None, email: str, door: Door = Door.LOGIN) -> float:
        """Take a place for an attempt, before its password is looked at; gives the moment it was taken.

        Raises:
            TooManyRequestsException: there is none; ``Retry-After`` says when there is.
            SQLAlchemyError: PostgreSQL is away.
        """
        since = self._counters.clock()
        if not self._enabled:
            return since
        over = await self._over(network_of(address), email, door, since)
        if over is not None:
            limit, key, count = over
            if (await self._counters.add(limit, f"refused:{key}")).value == 1:
                await self._write_down(address, email, door)
            raise _refusal(limit, count)
        return since

    async def failed(self, address: str | None, email: str, door: Door = Door.LOGIN) -> None:
        """The attempt failed: its place stays taken, and this address has one less at this account."""
        if self._enabled:
            await self._counters.add(self._pair, f"{door}:{self._digest(email)}:{network_of(address)}")

    async def succeeded(
        self, address: str | None, email: str, door: Door = Door.LOGIN, *, since: float | None = None
    ) -> None:
        """The attempt succeeded: it gives back the place that it took at the moment ``since``."""
        if not self._enabled:
            return
        network, account = network_of(address), self._digest(email)
        # Into the window that it was taken from: in a new one it would be worth a guess more.
        await self._counters.add(self._address, f"{door}:{network}", -1, at=since)
        await self._counters.add(self._account, f"{door}:{account}", -1, at=since)
        await self._counters.add(self._successes, f"{door}:succeeded:{account}")
        await self._counters.clear(self._pair, f"{door}:{account}:{network}")

    async def trust(self, address: str | None, email: str) -> None:
        """A mail to the owner was answered at this address: it passes the bound of the account for a day."""
        if not self._enabled:
            return
        network, account = network_of(address), self._digest(email)
        await self._familiar.trust(network, account)
        await self._counters.clear(self._pair, f"{Door.LOGIN}:{account}:{network}")

    async def mail(self, email: str, occasion: str = "any") -> None:
        """Count a mail that somebody asks to be sent to an address, whether it has an account or not.

        Each occasion counts by itself. So nobody is locked out by the mails that others ask for: a mailbox
        that has as many as it may have of one kind has a link of that kind that holds.

        Raises:
            TooManyRequestsException: the address had as many as it may have.
        """
        if not self._enabled:
            return
        count = await self._counters.add(self._mail, f"mail:{occasion}:{self._digest(email)}")
        if count.is_over:
            said = "This address was sent too many mails. Look for the last one, or try again later."
            raise _refusal(self._mail, count, said)

    async def _over(
        self, network: str, email: str, door: Door, now: float
    ) -> tuple[Limit, str, Count] | None:
        """The limit that does not allow this attempt, its key and count; else a place is taken."""
        account = self._digest(email)
        key = f"{door}:{network}"
        count = await self._counters.add(self._address, key, at=now)
        if count.is_over:
            return self._address, key, count
        key = f"{door}:{account}:{network}"
        for limit, counted in ((self._pair, key), (self._successes, f"{door}:succeeded:{account}")):
            count = await self._counters.read(limit, counted)
            if count.value >= count.bound:
                return limit, counted, count
        key = f"{door}:{account}"
        count = await self._counters.add(self._account, key, at=now)
        if count.is_over and not await self._familiar.is_known(network, account, email):
            return self._account, key, count
        return None

    async def _write_down(self, address: str | None, email: str, door: Door) -> None:
        """In a transaction of its own, which the refusal does not roll back."""
        async with transaction(self._sessions) as session:
            user_id = await session.scalar(select(User.id).where(User.email == email.strip().lower()))
            await record(
                session, Event.LOGIN_LIMITED, user_id=user_id, origin=Origin(address, None), door=str(door)
            )

    def _digest(self, email: str) -> str:
        # Keyed: addresses are few enough that a plain digest could be looked up.
        return hmac.new(self._key, email.strip().lower().encode(), "sha256").hexdigest()[:_DIGITS]


def _refusal(limit: Limit, count: Count, message: str | None = None) -> TooManyRequestsException:
    """With the headers of this limit, in place of those of the general one."""
    return TooManyRequestsException(
        message or f"Too many attempts. Try again in {count.wait} seconds.",
        headers={
            "Retry-After": str(count.wait),
            "RateLimit-Limit": str(limit.amount),
            "RateLimit-Policy": f"{limit.amount};w={limit.seconds}",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(count.wait),
        },
    )
