"""What a login is given: a session, and the pair of tokens that speaks for it."""

import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import SecretStr
from sqlalchemy import ColumnElement, func, literal, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config.groups import AuthSettings
from app.core.security import KeyRing
from app.models.base import new_id
from app.models.session import Session
from app.models.user import User, UserRole
from app.services.auth.origin import Origin
from app.services.auth.refresh_tokens import RefreshToken, RefreshTokens
from app.services.auth.scopes import Scope, session_scopes
from app.services.auth.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Grant:
    """A session's tokens, and for how many seconds the access token holds."""

    session_id: uuid.UUID
    access_token: SecretStr = field(repr=False)
    refresh_token: SecretStr = field(repr=False)
    expires_in: int
    scopes: frozenset[Scope]


class Grants:
    """Opens sessions and renews them.

    Args:
        keys: the ring that marks refresh tokens.
        tokens: issues access tokens.
        auth: for how long things hold.
    """

    def __init__(self, keys: KeyRing, tokens: Tokens, auth: AuthSettings) -> None:
        self.refresh_tokens = RefreshTokens(keys)
        self._tokens = tokens
        self._auth = auth

    @property
    def grace(self) -> timedelta:
        """For how long a replaced refresh token is no theft."""
        return timedelta(seconds=self._auth.refresh_grace)

    async def open(self, session: AsyncSession, user: User, *, origin: Origin, by_cookie: bool) -> Grant:
        """A new session of an account, which the caller has seen to be allowed one."""
        session_id = new_id()
        token = self.refresh_tokens.first(session_id)
        session.add(
            Session(
                id=session_id,
                user_id=user.id,
                refresh_hash=token.hash,
                last_used_at=func.now(),
                expires_at=func.now() + self._lifetime,
                by_cookie=by_cookie,
                address=origin.address,
                user_agent=origin.user_agent,
            )
        )
        await session.flush()
        return self.grant(user, token)

    async def rotate(self, session: AsyncSession, user: User, token: RefreshToken) -> Grant:
        """Replace a session's current token, whose row the caller has locked."""
        successor = self.refresh_tokens.successors(token)[0]
        await session.execute(
            update(Session)
            .where(Session.id == token.session_id)
            .values(
                refresh_hash=successor.hash,
                previous_hash=token.hash,
                rotations=Session.rotations + 1,
                # The transaction may have begun long before it got the lock.
                rotated_at=func.clock_timestamp(),
                last_used_at=func.clock_timestamp(),
                expires_at=func.clock_timestamp() + self._lifetime,
            )
        )
        return self.grant(user, successor)

    def grant(self, user: User, token: RefreshToken) -> Grant:
        """The pair of a session: this refresh token and a new access token."""
        return Grant(
            session_id=token.session_id,
            access_token=SecretStr(self._tokens.access(user.id, token.session_id)),
            refresh_token=SecretStr(token.text),
            expires_in=self._auth.access_token_seconds,
            scopes=session_scopes(
                UserRole(user.role), password_change_required=user.password_change_required
            ),
        )

    @property
    def _lifetime(self) -> ColumnElement[timedelta]:
        return literal(timedelta(days=self._auth.session_days))
