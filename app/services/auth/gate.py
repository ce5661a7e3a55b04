"""Lets in who has a valid credential.

A signature alone would let in those whose session was revoked a moment ago, and a query at every request
costs more than all else at the door. So each process remembers what it read for ``REVOCATION_SECONDS``.
"""

import time
import uuid
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, event, func, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config.groups import AuthSettings
from app.core.database import Sessions, transaction
from app.core.security import digest
from app.models.api_key import ApiKey
from app.models.session import Session
from app.services.auth import standing
from app.services.auth.principal import Principal
from app.services.auth.tokens import Claims, InvalidTokenError, Tokens

REMEMBERED: Final = 10_000
"""Credentials that one process remembers."""

ACCESS_COOKIE: Final = "holdfast_access"
"""Where cookie mode keeps the access token."""

KEY_PREFIX: Final = "hfk_"
KEY_LENGTH: Final = 47
"""Characters of an API key: the prefix and 32 random bytes in base64url."""

_USED_EVERY: Final = timedelta(minutes=1)
"""How exactly the last use of an API key is known."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    principal: Principal
    until: float


class Gate:
    """Turns credentials into principals.

    Args:
        tokens: verifies access tokens.
        sessions: where a credential's standing is read.
        auth: for how long what was read holds.
    """

    def __init__(self, tokens: Tokens, sessions: Sessions, auth: AuthSettings) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._seconds = auth.revocation_seconds
        self._remembered: OrderedDict[Hashable, _Remembered] = OrderedDict()
        self._claims: OrderedDict[str, Claims] = OrderedDict()

    async def by_token(self, token: str) -> Principal:
        """The principal of an access token.

        Raises:
            InvalidTokenError: it is not valid, or its session or account does not hold any more.
            SQLAlchemyError: its standing cannot be read.
        """
        claims = self._verified(token)
        assert claims.session_id is not None  # noqa: S101 - access tokens have one; this tells the type checker
        key = (claims.session_id, claims.user_id)
        known = self._recall(key)
        return known or self._remember(key, await self._session(claims.session_id, claims.user_id))

    async def by_api_key(self, text: str) -> Principal:
        """The principal of an API key.

        Raises:
            InvalidTokenError: it is none, has expired or was revoked, or its account does not hold any more.
            SQLAlchemyError: its standing cannot be read.
        """
        if len(text) != KEY_LENGTH or not text.startswith(KEY_PREFIX):
            raise InvalidTokenError("not an API key")
        hashed = digest(text)
        known = self._recall(hashed)
        return known or self._remember(hashed, await self._api_key(ApiKey.key_hash == hashed))

    async def by_maker(
        self, user_id: uuid.UUID, *, session_id: uuid.UUID | None, api_key_id: uuid.UUID | None
    ) -> Principal:
        """The principal of the session or API key that a signed thing names as its maker.

        Raises:
            InvalidTokenError: the maker or its account does not hold any more.
            SQLAlchemyError: its standing cannot be read.
        """
        key = (session_id or api_key_id, user_id)
        if known := self._recall(key):
            return known
        if session_id is not None:
            return self._remember(key, await self._session(session_id, user_id))
        made_it = and_(ApiKey.id == api_key_id, ApiKey.user_id == user_id)
        return self._remember(key, await self._api_key(made_it))

    def expires_at(self, token: str) -> int:
        """When an access token ends by itself, in seconds since 1970.

        Raises:
            InvalidTokenError: it is not valid.
        """
        return self._verified(token).expires_at

    def glance(self, credential: str) -> uuid.UUID | None:
        """The account of an access token, or the API key, without a question to the database.

        It may have ended since: this says whom to count a request for, and never lets anybody in.
        """
        if credential.startswith(KEY_PREFIX):
            entry = self._remembered.get(digest(credential))
            return entry.principal.api_key_id if entry else None
        try:
            return self._verified(credential).user_id
        except InvalidTokenError:
            return None

    def forget(self, *, session_id: uuid.UUID | None = None, user_id: uuid.UUID | None = None) -> None:
        """Read a session's or an account's standing anew at its next request to this process."""
        for key, entry in list(self._remembered.items()):
            principal = entry.principal
            if user_id == principal.user_id or (session_id and session_id == principal.session_id):
                del self._remembered[key]

    def forget_after(
        self,
        session: AsyncSession,
        user_id: uuid.UUID | None = None,
        *,
        session_id: uuid.UUID | None = None,
    ) -> None:
        """Forget an account or a session once a transaction has committed.

        Any sooner, and a request could remember the old standing again.
        """

        def forget(_session: object) -> None:
            self.forget(user_id=user_id, session_id=session_id)

        event.listen(session.sync_session, "after_commit", forget, once=True)

    def _verified(self, token: str) -> Claims:
        """The claims of a token; verified once, for many requests bring the same until it expires."""
        known = self._claims.get(token)
        if known is not None and known.expires_at > time.time():
            return known
        self._claims.pop(token, None)
        claims = self._claims[token] = self._tokens.verify(token)
        while len(self._claims) > REMEMBERED:
            self._claims.popitem(last=False)
        return claims

    def _recall(self, key: Hashable) -> Principal | None:
        entry = self._remembered.get(key)
        return entry.principal if entry and entry.until > time.monotonic() else None

    def _remember(self, key: Hashable, principal: Principal | None) -> Principal:
        if principal is None:
            # Not remembered: a stranger's guesses would push out those who may come in.
            self._remembered.pop(key, None)
            raise InvalidTokenError("revoked, expired or unknown")
        self._remembered[key] = _Remembered(principal, time.monotonic() + self._seconds)
        self._remembered.move_to_end(key)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return principal

    async def _session(self, session_id: uuid.UUID, user_id: uuid.UUID) -> Principal | None:
        mine = Session.id == session_id, Session.user_id == user_id
        row = await self._one(standing.sessions().where(*mine))
        return standing.by_session(row) if row else None

    async def _api_key(self, wanted: ColumnElement[bool]) -> Principal | None:
        row = await self._one(standing.api_keys().where(wanted))
        if row is None:
            return None
        await self._used(row.id)
        return standing.by_api_key(row)

    async def _used(self, key_id: uuid.UUID) -> None:
        stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - _USED_EVERY)
        async with transaction(self._sessions) as session:
            await session.execute(
                update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=func.now())
            )

    async def _one(self, statement: Select[*tuple[Any, ...]]) -> Any:
        async with transaction(self._sessions) as session:
            return (await session.execute(statement)).one_or_none()
