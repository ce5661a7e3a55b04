"""What verifying an address does between two looks at the database."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import AppSettings
from app.core.database import Sessions, transaction
from app.core.security import KeyRing
from app.services.accounts.registration import register, verify_email
from app.services.auth.origin import Origin
from app.services.auth.passwords import Passwords
from app.services.auth.tokens import Tokens
from tests.postbox import Postbox
from tests.registering import ANNA, CHOSEN, known

HERE = Origin("192.0.2.1", "me")


class Watched(Passwords):
    """Notes how many connections are in use while it hashes."""

    def __init__(self, settings: AppSettings, engine: AsyncEngine) -> None:
        super().__init__(settings.auth)
        self.pool = engine.pool
        self.held: list[int] = []

    async def hash(self, password: str) -> str:
        self.held.append(self.pool.checkedout())  # type: ignore[attr-defined]  # of the pool that is used here
        return await super().hash(password)


async def test_no_connection_is_held_while_the_first_password_is_hashed(
    settings: AppSettings, sessions: Sessions, engine: AsyncEngine
) -> None:
    async with transaction(sessions) as session:
        await register(session, email=ANNA["email"], name="", origin=HERE)
    token, passwords = await Postbox(settings, sessions).token(), Watched(settings, engine)
    tokens = Tokens(KeyRing.from_settings(settings.auth), settings.auth)
    async with transaction(sessions) as session:
        await verify_email(session, tokens, passwords, token=token, password=CHOSEN, origin=HERE)
    assert passwords.held == [0]
    assert (await known(sessions)).password_hash is not None
