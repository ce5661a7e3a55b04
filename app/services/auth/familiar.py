"""From where an account is known: who attacks it from elsewhere does not keep its owner out there."""

from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from app.core.database import Sessions, transaction
from app.core.limits import Counters, Limit
from app.models.session import Session
from app.models.user import User
from app.services.auth.network import network_of

KNOWN_FOR: Final = timedelta(days=30)
MOST_KNOWN: Final = 1000
"""Addresses of one account that are looked at, the latest ones."""

TRUSTED: Final = Limit(1, 86400)
"""For how long an address is known after a mail to the owner was answered there."""


class Familiar:
    """Knows the networks from which an account logged in of late, or answered a mail.

    Args:
        counters: where those who answered a mail are noted.
        sessions: where it is read whence an account logged in.
    """

    def __init__(self, counters: Counters, sessions: Sessions) -> None:
        self._counters = counters
        self._sessions = sessions

    async def trust(self, network: str, account: str) -> None:
        """Know a network for a day; ``account`` is the digest of an address."""
        key, now = f"known:{account}:{network}", self._counters.clock()
        # In the next window too, whose note is forgotten a day from now: this window may end in a moment.
        for moment in (now, now + TRUSTED.seconds):
            await self._counters.add(TRUSTED, key, at=moment)

    async def is_known(self, network: str, account: str, email: str) -> bool:
        """Whether the account of this address is known at this network."""
        trusted = await self._counters.read(TRUSTED, f"known:{account}:{network}")
        return trusted.value > 0 or await self._has_logged_in(network, email)

    async def _has_logged_in(self, network: str, email: str) -> bool:
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
