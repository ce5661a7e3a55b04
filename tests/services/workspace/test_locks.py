"""Who stores and who removes keep out of each other's way."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Sessions
from app.services.workspace.locks import hold, seize

ONE, OTHER, THIRD = "1" * 64, "f" * 64, "80" * 32


async def test_what_nobody_holds_is_seized(sessions: Sessions) -> None:
    async with sessions() as session:
        assert await seize(session, [ONE, OTHER, THIRD]) == {ONE, OTHER, THIRD}
        assert await seize(session, []) == set()


async def test_what_is_held_is_not_seized_until_the_holder_has_ended(sessions: Sessions) -> None:
    async with sessions() as remover:
        async with sessions() as storing, sessions() as storing_too:
            await hold(storing, ONE, THIRD)
            await hold(storing_too, ONE)
            assert await seize(remover, {ONE, OTHER, THIRD}) == {OTHER}
            await storing.commit()
            await remover.rollback()
            assert await seize(remover, {ONE, OTHER, THIRD}) == {OTHER, THIRD}
        await remover.rollback()
        assert await seize(remover, {ONE}) == {ONE}


async def test_nobody_holds_what_is_seized_until_its_remover_has_ended(sessions: Sessions) -> None:
    async with sessions() as remover, sessions() as storing:
        await seize(remover, {ONE})
        await hold(storing, OTHER)
        held = asyncio.create_task(hold(storing, ONE))
        await _waits_for_a_lock(remover)
        assert not held.done()
        await remover.commit()
        await held


async def test_a_rolled_back_holder_holds_nothing(sessions: Sessions) -> None:
    async with sessions() as storing, sessions() as remover:
        await hold(storing, ONE)
        await storing.rollback()
        assert await seize(remover, {ONE}) == {ONE}


async def _waits_for_a_lock(session: AsyncSession) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = pg_locks.database "
        "WHERE locktype = 'advisory' AND NOT granted AND d.datname = current_database()"
    )
    async with asyncio.timeout(60):
        while not await session.scalar(waiting):
            await asyncio.sleep(0.01)
