"""An account that is about to change: taken under its lock, and its owner asked for the password."""

import uuid

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import transaction
from app.models.user import AccountStatus, User
from app.services.auth.login import Desk
from app.services.auth.origin import Origin
from app.services.auth.password_change import WrongPasswordException
from app.services.auth.throttle import Door


async def locked(session: AsyncSession, user_id: uuid.UUID) -> User | None:
    """The account as it is now, locked until this transaction ends; none that has ended."""
    # Read anew under the lock: what this session read before may be old.
    query = select(User).where(User.id == user_id).with_for_update(key_share=True)
    user = (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    return user if user is not None and user.status is AccountStatus.ACTIVE else None


async def require_password(desk: Desk, user_id: uuid.UUID, password: str, *, origin: Origin) -> None:
    """See that whoever holds the session knows the account's password.

    Attempts are counted as those to log in are, but apart from them. To be called before the caller's
    transaction begins: no connection is held while the password is hashed.

    Raises:
        TooManyRequestsException: too many attempts; the password was not looked at.
        WrongPasswordException: it is another, or the account has none.
    """
    async with transaction(desk.sessions) as session:
        found = await session.execute(select(User.email, User.password_hash).where(User.id == user_id))
        email, stored = found.one()
    since = await desk.throttle.check(origin.address, email, Door.SESSION)
    correct, _ = await desk.passwords.verify(password, stored)
    if not correct:
        await desk.throttle.failed(origin.address, email, Door.SESSION)
        raise WrongPasswordException
    await desk.throttle.succeeded(origin.address, email, Door.SESSION, since=since)
