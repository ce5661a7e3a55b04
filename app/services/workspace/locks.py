"""Who stores an object and who removes it keep out of each other's way, on any number of machines.

Both take PostgreSQL's advisory lock of the object's key in their own transaction. Who stores it holds it
shared until the row that refers to it has committed, so that many may store the same content. Who removes
it takes it exclusively, and only then looks whether a row refers to it: none can come meanwhile. It never
waits for the lock: whoever holds it is about to refer to the object, which therefore stays.
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy import ARRAY, BigInteger, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

# In one order for all, so that two who take several never wait for each other.
_ORDERED: Final = "FROM (SELECT id FROM unnest(:ids) AS id ORDER BY id) AS ordered"
_IDS: Final = bindparam("ids", type_=ARRAY(BigInteger))
_SHARED: Final = text(f"SELECT pg_advisory_xact_lock_shared(id) {_ORDERED}").bindparams(_IDS)
_EXCLUSIVE: Final = text(f"SELECT id, pg_try_advisory_xact_lock(id) {_ORDERED}").bindparams(_IDS)


async def hold(session: AsyncSession, *keys: str) -> None:
    """Keep objects from being removed until this transaction ends; waits for removals under way."""
    if keys:
        await session.execute(_SHARED, {"ids": [_lock(key) for key in keys]})


async def seize(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Those of the objects that nobody is about to refer to; nobody can until this transaction ends."""
    if not keys:
        return set()
    rows = await session.execute(_EXCLUSIVE, {"ids": [_lock(key) for key in keys]})
    ours = {number for number, taken in rows if taken}
    return {key for key in keys if _lock(key) in ours}


def _lock(key: str) -> int:
    """The key's beginning as a number: two keys may share it, which only makes one wait for the other."""
    return int.from_bytes(bytes.fromhex(key[:16]), signed=True)
