"""API keys that ended long ago are forgotten."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.services.auth.api_keys import prune_api_keys
from tests.accounts import OWNER

ENDS = {"expired long ago": -31, "expired lately": -29, "holds": 1, "for ever": None}


async def left(session: AsyncSession) -> set[str]:
    return set(await session.scalars(text("SELECT name FROM api_keys")))


async def test_only_keys_that_ended_long_ago_are_forgotten(session: AsyncSession) -> None:
    for name, days in ENDS.items():
        await session.execute(
            text(
                "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes, expires_at) VALUES "
                "(gen_random_uuid(), :id, :name, 'x', :name, '{}', now() + :days * interval '1 day')"
            ),
            {"id": OWNER, "name": name, "days": days},
        )
    assert await prune_api_keys(session, days=30, limit=10) == 1
    assert await left(session) == ENDS.keys() - {"expired long ago"}


async def test_no_more_keys_than_asked_for_are_forgotten_at_once(session: AsyncSession) -> None:
    await session.execute(
        text(
            "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes, expires_at) "
            "SELECT gen_random_uuid(), :id, n, 'x', n, '{}', now() - n * interval '1 day' "
            "FROM generate_series(40, 42) n"
        ),
        {"id": OWNER},
    )
    assert await prune_api_keys(session, days=30, limit=2) == 2
    assert await left(session) == {"40"}
