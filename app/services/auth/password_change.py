"""One's own password: shown to be known, and changed."""

import uuid

from sqlalchemy import select, update

from app.core.database import transaction
from app.exceptions.base import BadRequestException, ConflictException, ForbiddenException
from app.models.session import Session
from app.models.user import User
from app.services.auth.api_keys import revoke_all
from app.services.auth.audit import Event, record
from app.services.auth.gate import Gate
from app.services.auth.login import Desk
from app.services.auth.origin import Origin
from app.services.auth.principal import Principal
from app.services.auth.sessions import Reason, revoke
from app.services.auth.throttle import Door


class WrongPasswordException(ForbiddenException):
    """Whoever holds the session does not know the password."""

    code = "wrong_password"
    default_message = "The current password is wrong."


async def change_password(
    desk: Desk, *, current: str, new: str, by: Principal, gate: Gate, origin: Origin
) -> None:
    """Replace the principal's password; end its other sessions and its API keys.

    A change of the address that waits for its mail is dropped.

    Raises:
        BadRequestException: the new password is the current one.
        TooManyRequestsException: too many attempts; the password was not looked at.
        WrongPasswordException: the current password is another.
        ConflictException: it was changed meanwhile.
    """
    if current == new:
        raise BadRequestException("The new password must be another than the current one.")
    stored = await require_password(desk, by.user_id, current, origin=origin)
    await _replace(desk, stored, await desk.passwords.hash(new), by=by, gate=gate, origin=origin)


async def require_password(desk: Desk, user_id: uuid.UUID, password: str, *, origin: Origin) -> str | None:
    """See that whoever holds the session knows the account's password, and give its stored hash.

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
    return stored


async def _replace(
    desk: Desk, stored: str | None, hashed: str, *, by: Principal, gate: Gate, origin: Origin
) -> None:
    async with transaction(desk.sessions) as session:
        replaced = await session.scalar(
            update(User)
            .where(User.id == by.user_id, User.password_hash == stored)
            .values(password_hash=hashed, password_change_required=False, pending_email=None)
            .returning(User.id)
        )
        if replaced is None:
            raise ConflictException("The password was changed meanwhile. Log in again.")
        ended = await revoke(
            session, Session.id != by.session_id, user_id=by.user_id, reason=Reason.PASSWORD_CHANGED
        )
        revoked = await revoke_all(session, by.user_id)
        gate.forget_after(session, by.user_id)
        await record(
            session,
            Event.PASSWORD_CHANGED,
            by=by,
            origin=origin,
            sessions_ended=ended,
            keys_revoked=revoked,
        )
