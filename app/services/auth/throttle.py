"""Slows down who guesses passwords, without locking out those whose passwords they guess.

Three limits, all derived from RATE_LIMIT_LOGIN; what they count ends with its window, nothing locks for good:

- **An address** (IPv6: a /64) may fail so many times in a window. Each attempt takes its place before the
  password is looked at and a success gives it back: so a burst of parallel guesses has no more than that, and
  an office that logs in all at once behind one address is not refused.
- **An address at one account** may fail as often, in a window ten times as long: who goes on guessing
  slowly comes to a tenth of the pace. A success forgives the owner's own slips.
- **An account** may be tried ten times as often from all addresses together, in a window sixty times as
  long: what a thousand machines do together is bounded too. Alone, that would let any of them lock the owner
  out. So addresses with a login to that account in the last 30 days pass it: the owner at home does not
  notice the attack, while the attackers, whose addresses never logged in, wait. An owner at a new place
  waits as well.

Without Redis each process counts alone and allows its share (`app.core.limits`). The last 30 days are read
from the table of sessions, which is there after Redis was lost, and only once the third limit is reached.
Redis knows accounts by keyed digests, and no address is told apart by whether it has an account.
"""

import hmac
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from app.core.config.groups import RateLimitSettings
from app.core.database import Sessions, transaction
from app.core.limits import Count, Counters, Limit
from app.core.security import KeyRing
from app.exceptions.base import TooManyRequestsException
from app.models.session import Session
from app.models.user import User
from app.services.auth.network import network_of

PAIR_WINDOWS: Final = 10
ACCOUNT_WINDOWS: Final = 60
ACCOUNT_TIMES: Final = 10
KNOWN_FOR: Final = timedelta(days=30)
MOST_KNOWN: Final = 1000
"""Addresses of one account that are looked at, the latest ones."""

_DIGITS: Final = 32


class Throttle:
    """Counts attempts to log in, and mails that are asked for.

    Args:
        counters: where they are counted.
        sessions: where it is read whence an account logged in.
        keys: what digests of addresses are made with.
        limits: RATE_LIMIT_ENABLED, RATE_LIMIT_LOGIN and RATE_LIMIT_RESET.
    """

    def __init__(
        self, counters: Counters, sessions: Sessions, keys: KeyRing, limits: RateLimitSettings
    ) -> None:
        self._counters = counters
        self._sessions = sessions
        self._key = keys.current("throttle").secret
        self._enabled = limits.enabled
        self._address = Limit.parse(limits.login)
        self._pair = self._address.longer(PAIR_WINDOWS)
        self._account = self._address.longer(ACCOUNT_WINDOWS, amount=self._address.amount * ACCOUNT_TIMES)
        self._mail = Limit.parse(limits.reset)

    async def check(self, address: str | None, email: str) -> None:
        """Take a place for an attempt, before its password is looked at.

        Raises:
            TooManyRequestsException: there is none; ``Retry-After`` says when there is.
            SQLAlchemyError: PostgreSQL is away.
        """
        if not self._enabled:
            return
        network, account = network_of(address), self._digest(email)
        _refuse_over(await self._counters.add(self._address, f"login:{network}"))
        pair = await self._counters.read(self._pair, f"login:{account}:{network}")
        if pair.value >= pair.bound:
            raise _refusal(pair)
        count = await self._counters.add(self._account, f"login:{account}")
        if count.is_over and not await self._is_known(network, email):
            raise _refusal(count)

    async def failed(self, address: str | None, email: str) -> None:
        """The attempt failed: its place stays taken, and this address has one less at this account."""
        if self._enabled:
            await self._counters.add(self._pair, f"login:{self._digest(email)}:{network_of(address)}")

    async def succeeded(self, address: str | None, email: str) -> None:
        """The attempt succeeded: it gives its place back."""
        if not self._enabled:
            return
        network, account = network_of(address), self._digest(email)
        await self._counters.add(self._address, f"login:{network}", -1)
        await self._counters.add(self._account, f"login:{account}", -1)
        await self._counters.clear(self._pair, f"login:{account}:{network}")

    async def mail(self, email: str, occasion: str = "any") -> None:
        """Count a mail that somebody asks to be sent to an address, whether it has an account or not.

        Each occasion counts by itself. So nobody is locked out by the mails that others ask for: a mailbox
        that has as many as it may have of one kind has a link of that kind that holds.

        Raises:
            TooManyRequestsException: the address had as many as it may have.
        """
        if self._enabled:
            _refuse_over(
                await self._counters.add(self._mail, f"mail:{occasion}:{self._digest(email)}"),
                "This address was sent too many mails. Look for the last one, or try again later.",
            )

    async def _is_known(self, network: str, email: str) -> bool:
        """Whether the account of this address has logged in from this network of late."""
        latest = (
            select(Session.address)
            .join(User, User.id == Session.user_id)
            .where(User.email == email.strip().lower(), Session.address.is_not(None))
            .where(Session.last_used_at > func.now() - KNOWN_FOR)
            .group_by(Session.address)
            .order_by(func.max(Session.last_used_at).desc())
            .limit(MOST_KNOWN)
        )
        async with transaction(self._sessions) as session:
            return any(network_of(address) == network for address in await session.scalars(latest))

    def _digest(self, email: str) -> str:
        # Keyed: addresses are few enough that a plain digest could be looked up.
        return hmac.new(self._key, email.strip().lower().encode(), "sha256").hexdigest()[:_DIGITS]


def _refuse_over(count: Count, message: str | None = None) -> None:
    if count.is_over:
        raise _refusal(count, message)


def _refusal(count: Count, message: str | None = None) -> TooManyRequestsException:
    return TooManyRequestsException(
        message or f"Too many attempts. Try again in {count.wait} seconds.",
        headers={"Retry-After": str(count.wait)},
    )
