"""Who gets a mail on which occasion. Decided where it is sent from, and told to nobody."""

import uuid
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import AppSettings
from app.models.user import AccountStatus, User, UserRole
from app.services.accounts.links import change_stamp, reset_stamp, verification_stamp
from app.services.accounts.mailing import MailArgs, Occasion
from app.services.accounts.wording import Wording
from app.services.auth.tokens import RESET, VERIFY, Tokens
from app.services.mail import Letter
from app.services.users import INTERNAL


class Stationery:
    """What letters are written with.

    Args:
        settings: the words of this installation.
        tokens: makes those of links.
    """

    def __init__(self, settings: AppSettings, tokens: Tokens) -> None:
        self._say: Final = Wording(settings)
        self._tokens = tokens

    async def write(self, session: AsyncSession, args: MailArgs) -> tuple[Letter, uuid.UUID] | None:
        """The letter of an occasion and the account that it is about; None where nobody is to get one."""
        user = await _subject(session, args)
        if user is None or user.id in INTERNAL or user.status is not AccountStatus.ACTIVE:
            return None
        if args.occasion is Occasion.ADDRESS_CHANGE_ASKED:
            letter = await self._change(session, args.email, user)
        elif args.occasion is Occasion.ADDRESS_CHANGED:
            letter = self._say.address_changed(args.email)
        else:
            letter = self._to_account(args.occasion, user)
        return (letter, user.id) if letter else None

    def _to_account(self, occasion: Occasion, user: User) -> Letter | None:
        if occasion is Occasion.PASSWORD_SET:
            return self._say.password_set(user.email)
        if user.email_verified_at is None:
            # Whatever was asked for: it has no password to forget yet.
            token = self._tokens.mail(VERIFY, user.id, verification_stamp(user))
            return self._say.verification(user.email, token)
        if occasion is Occasion.RESET_ASKED:
            # A program has no password to forget.
            return None if user.role == UserRole.SERVICE else self._reset(user)
        return self._say.known(user.email) if occasion is Occasion.REGISTERED else None

    def _reset(self, user: User) -> Letter:
        return self._say.reset(user.email, self._tokens.mail(RESET, user.id, reset_stamp(user)))

    async def _change(self, session: AsyncSession, address: str, user: User) -> Letter | None:
        if user.pending_email != address:
            return None
        if await session.scalar(select(User.id).where(User.email == address)) is not None:
            return self._say.known(address)
        return self._say.change(address, self._tokens.mail(VERIFY, user.id, change_stamp(user)))


async def _subject(session: AsyncSession, args: MailArgs) -> User | None:
    if args.user_id is not None:
        return await session.get(User, args.user_id)
    return await session.scalar(select(User).where(User.email == args.email))
