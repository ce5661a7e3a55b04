"""Two changes of one password at once."""

import pytest
from sqlalchemy import update

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import KeyRing
from app.exceptions.base import ConflictException
from app.models.user import User, UserRole
from app.services.auth.gate import Gate
from app.services.auth.origin import Origin
from app.services.auth.password_change import change_password
from app.services.auth.principal import Principal
from app.services.auth.tokens import Tokens
from tests.accounts import OWNER, session_of
from tests.passwords import PASSWORD, give_password
from tests.services.auth.test_login import Counting, Watched, desk


async def test_a_password_that_was_changed_meanwhile_stays(settings: AppSettings, sessions: Sessions) -> None:
    await give_password(sessions, settings)

    async def change() -> None:
        async with transaction(sessions) as session:
            await session.execute(update(User).where(User.id == OWNER).values(password_hash="another"))

    with pytest.raises(ConflictException):
        await change_password(
            desk(settings, sessions, Watched(settings, change), Counting()),
            current=PASSWORD,
            new="a horse of another colour",
            by=Principal(OWNER, UserRole.USER, frozenset(), session_id=session_of(OWNER)),
            gate=Gate(Tokens(KeyRing("k" * 40), settings.auth), sessions, settings.auth),
            origin=Origin(),
        )
    async with sessions() as session:
        assert (await session.get_one(User, OWNER)).password_hash == "another"
