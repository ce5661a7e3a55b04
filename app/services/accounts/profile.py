"""One's own account: seen and changed."""

import uuid
from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.exceptions.base import NotFoundException
from app.models.user import User
from app.schemas.users import Me, MeUpdate
from app.services.accounts.credentials import locked
from app.services.accounts.mailing import Occasion, ask
from app.services.auth import audit
from app.services.auth.audit import Event
from app.services.auth.login import Desk
from app.services.auth.origin import Origin
from app.services.auth.password_change import require_password
from app.services.auth.principal import Principal
from app.services.versions import require_match

# Built once: to build it at each request would take longer than to run it.
_SHOWN: Final = select(*(User.__table__.c[name] for name in Me.model_fields)).where(
    User.__table__.c.id == bindparam("account")
)


class AccountGoneException(NotFoundException):
    """The account ended while its last credential still held."""

    default_message = "This account does not exist any more."


async def get(connection: AsyncConnection, user_id: uuid.UUID) -> Me:
    """The account. Front ends ask for it again and again: what is shown is read, and no more.

    Raises:
        AccountGoneException: it has ended a moment ago.
    """
    row = (await connection.execute(_SHOWN, {"account": user_id})).one_or_none()
    if row is None:
        raise AccountGoneException
    return Me.model_validate(row)


async def update(
    session: AsyncSession, desk: Desk, given: MeUpdate, *, by: Principal, origin: Origin, if_match: str | None
) -> Me:
    """Change the name, or ask for another address: that counts once a mail to it was answered.

    Whether the new address is another account's is not told here, but in the mail.

    Raises:
        AccountGoneException: it has ended a moment ago.
        PreconditionFailedException: it is not what the caller has seen.
        TooManyRequestsException: too many wrong passwords.
        WrongPasswordException: the password is another.
    """
    if given.email is not None and given.password is not None:
        await require_password(desk, by.user_id, given.password.get_secret_value(), origin=origin)
    user = await locked(session, by.user_id)
    if user is None:
        raise AccountGoneException
    require_match(Me.model_validate(user), if_match)
    changed = await _change(session, user, given)
    if changed:
        await audit.record(session, Event.UPDATED, by=by, origin=origin, changed=changed)
        await session.refresh(user)
    return Me.model_validate(user)


async def _change(session: AsyncSession, user: User, given: MeUpdate) -> list[str]:
    changed = []
    if given.name is not None and given.name != user.name:
        user.name = given.name
        changed.append("name")
    if given.email is not None:
        # The present address given again takes a change back.
        user.pending_email = given.email if given.email != user.email else None
        changed.append("pending_email")
        if user.pending_email is not None:
            await ask(session, Occasion.ADDRESS_CHANGE_ASKED, user.pending_email, user_id=user.id)
    return changed
