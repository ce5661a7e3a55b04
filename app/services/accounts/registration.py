"""Making an account, proving its address, and setting a new password by mail.

A password is chosen by whoever has the mail, never by who registers: an account has none until its address
is proven. So nothing can be laid in wait for the owner of an address, and no login tells that it is waiting.
What a request answers, and what it costs, is the same whether the address has an account or not.
"""

import uuid

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import func

from app.core.config.groups import AuthSettings
from app.core.security import same
from app.exceptions.base import BadRequestException, ConflictException, ForbiddenException
from app.models.user import User
from app.services.accounts.credentials import locked
from app.services.accounts.links import change_stamp, reset_stamp, verification_stamp
from app.services.accounts.mailing import Occasion, ask
from app.services.auth import api_keys, audit, sessions
from app.services.auth.audit import Event
from app.services.auth.gate import Gate
from app.services.auth.origin import Origin
from app.services.auth.passwords import Passwords
from app.services.auth.sessions import Reason
from app.services.auth.tokens import RESET, VERIFY, Claims, InvalidTokenError, Tokens


class RegistrationClosedException(ForbiddenException):
    """People may not register themselves here."""

    code = "registration_disabled"
    default_message = "Registration is closed here: ask an administrator for an account."


class InvalidLinkException(BadRequestException):
    """The token of a mail is not valid, or not any more."""

    code = "invalid_link"
    default_message = "This link is not valid: it was used, has expired or was replaced. Ask for another one."


class PasswordNeededException(BadRequestException):
    """The link is that of a new account; it still holds."""

    code = "password_needed"
    default_message = "Choose a password for the account: send `password` beside the token."


class PasswordNotNeededException(BadRequestException):
    """The link is that of another address of an account, whose password stays; it still holds."""

    code = "password_not_needed"
    default_message = "This link confirms another address, and the password stays: send the token alone."


class AddressAsPasswordException(BadRequestException):
    """The first thing that is guessed; the link still holds."""

    code = "address_as_password"
    default_message = "The password must not be the address: choose another one."


def require_open(auth: AuthSettings) -> None:
    """See that people may register themselves.

    Raises:
        RegistrationClosedException: they may not.
    """
    if not auth.registration:
        raise RegistrationClosedException


async def register(session: AsyncSession, *, email: str, name: str, origin: Origin) -> None:
    """Make an account without a password, unless the address has one: that stays as it is."""
    wanted = insert(User).values(email=email, name=name).on_conflict_do_nothing(index_elements=[User.email])
    added = await session.scalar(wanted.returning(User.id))
    # Asked in both cases, so that both cost the same.
    user_id = await session.scalar(select(User.id).where(User.email == email))
    event = Event.REGISTERED if added else Event.REGISTERED_AGAIN
    await audit.record(session, event, user_id=user_id, origin=origin)
    await ask(session, Occasion.REGISTERED, email)


async def verify_email(
    session: AsyncSession,
    tokens: Tokens,
    passwords: Passwords,
    *,
    token: str,
    password: str | None,
    origin: Origin,
) -> str:
    """Take the token of a mail as proof that the account's, or its pending, address is its owner's.

    A new account gets its password with it. Gives the address that is proven.

    Raises:
        InvalidLinkException: the token is not valid, or not any more.
        PasswordNeededException: the account is new, and no password is given.
        AddressAsPasswordException: the password is the address.
        PasswordNotNeededException: the account has a password, and another address is to be proven.
        ConflictException: the pending address has become another account's.
    """
    claims = _claims(tokens, token, VERIFY)
    # Before the first statement: no connection is held while the hash is computed.
    hashed = await passwords.hash(password) if password is not None else None
    user = await _alive(session, claims.user_id)
    if user.email_verified_at is None and _is_for(claims, verification_stamp(user)):
        _require_choice(user, password)
        user.password_hash, user.email_verified_at = hashed, func.now()
        await audit.record(session, Event.EMAIL_VERIFIED, user_id=user.id, origin=origin)
    elif user.pending_email is not None and _is_for(claims, change_stamp(user)):
        if password is not None:
            raise PasswordNotNeededException
        await _change_address(session, user, user.pending_email, origin)
    else:
        raise InvalidLinkException
    return user.email


async def reset_password(
    session: AsyncSession,
    tokens: Tokens,
    passwords: Passwords,
    *,
    token: str,
    password: str,
    gate: Gate,
    origin: Origin,
) -> str:
    """Set a new password and end all sessions and API keys; gives the address, which the mail has proven too.

    A change of the address that waits for its mail is dropped: a thief may have asked for it.

    Raises:
        InvalidLinkException: the token is not valid, or not any more.
    """
    claims = _claims(tokens, token, RESET)
    hashed = await passwords.hash(password)
    user = await _alive(session, claims.user_id)
    if not _is_for(claims, reset_stamp(user)):
        raise InvalidLinkException
    user.password_hash, user.pending_email = hashed, None
    user.password_change_required = False
    user.email_verified_at = user.email_verified_at or func.now()
    ended = await sessions.revoke(session, user_id=user.id, reason=Reason.PASSWORD_RESET)
    revoked = await api_keys.revoke_all(session, user.id)
    gate.forget_after(session, user.id)
    await audit.record(
        session,
        Event.PASSWORD_RESET,
        user_id=user.id,
        origin=origin,
        sessions_ended=ended,
        keys_revoked=revoked,
    )
    await ask(session, Occasion.PASSWORD_SET, user.email, user_id=user.id)
    return user.email


def _require_choice(user: User, password: str | None) -> None:
    if password is None:
        raise PasswordNeededException
    if password.lower() == user.email:
        raise AddressAsPasswordException


async def _change_address(session: AsyncSession, user: User, address: str, origin: Origin) -> None:
    before = user.email
    try:
        async with session.begin_nested():
            user.email, user.pending_email, user.email_verified_at = address, None, func.now()
            await session.flush()
    except IntegrityError as error:
        raise ConflictException("This address belongs to another account by now.") from error
    await audit.record(session, Event.EMAIL_CHANGED, user_id=user.id, origin=origin)
    await ask(session, Occasion.ADDRESS_CHANGED, before, user_id=user.id)


def _claims(tokens: Tokens, token: str, kind: str) -> Claims:
    try:
        return tokens.verify(token, kind)
    except InvalidTokenError as error:
        raise InvalidLinkException from error


async def _alive(session: AsyncSession, user_id: uuid.UUID) -> User:
    user = await locked(session, user_id)
    if user is None:
        raise InvalidLinkException
    return user


def _is_for(claims: Claims, stamp: str) -> bool:
    return same(claims.stamp or "", stamp)
