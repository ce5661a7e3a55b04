"""That one administrator is made first, and one remains."""

import asyncio

import pytest
from sqlalchemy import text

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.exceptions.base import ConflictException
from app.services.auth import administrators
from app.services.auth.administrators import Made
from app.services.auth.passwords import Passwords
from tests.accounts import ADMIN, OTHER, OWNER

FIRST = "first@example.org"


@pytest.fixture
async def nobody(sessions: Sessions) -> Sessions:
    """Accounts, none of an administrator."""
    async with transaction(sessions) as session:
        await session.execute(text("DELETE FROM users WHERE id = :id"), {"id": ADMIN})
    return sessions


async def make_first(sessions: Sessions, settings: AppSettings) -> Made | None:
    async with transaction(sessions) as session:
        return await administrators.make_first(session, Passwords(settings.auth), email=FIRST)


async def test_of_many_first_starts_one_makes_the_administrator(
    nobody: Sessions, settings: AppSettings
) -> None:
    made = await asyncio.gather(*(make_first(nobody, settings) for _ in range(5)))
    assert len([one for one in made if one is not None]) == 1
    async with transaction(nobody) as session:
        count = await session.execute(text("SELECT count(*) FROM users WHERE role = 'admin'"))
    assert count.scalar_one() == 1


@pytest.mark.parametrize("column", ["disabled_at", "deleted_at"])
async def test_who_cannot_administrate_does_not_count(
    sessions: Sessions, settings: AppSettings, column: str
) -> None:
    async with transaction(sessions) as session:
        await session.execute(text(f"UPDATE users SET {column} = now() WHERE id = '{ADMIN}'"))  # noqa: S608 - constants
    assert await make_first(sessions, settings) is not None


async def test_one_time_passwords_are_random_and_fit_to_be_typed() -> None:
    some = {administrators.one_time_password() for _ in range(100)}
    assert len(some) == 100
    assert all(len(password) == 24 and password.isalnum() for password in some)


async def test_another_is_required_where_there_is_one_only(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        with pytest.raises(ConflictException):
            await administrators.require_another(session, ADMIN)
        await administrators.require_another(session, OWNER)
        await session.execute(text(f"UPDATE users SET role = 'admin' WHERE id = '{OTHER}'"))  # noqa: S608 - constants
        await administrators.require_another(session, ADMIN)
