"""That no table of what people own is forgotten by the export or by the erasure."""

import re
from typing import Any

from sqlalchemy import Table, event
from sqlalchemy.ext.asyncio import AsyncEngine

import app.models  # noqa: F401 - all tables
from app.core.database import Sessions
from app.models.base import Base
from app.models.user import User
from app.services.accounts import belongings
from app.services.accounts.erasure import Begin, erase
from app.services.workspace import Workspace
from tests.accounts import OWNER
from tests.services.accounts.belongings import give
from tests.services.accounts.conftest import MarkDeleted

NOT_EXPORTED = {
    # Copies of the rest, which the owner downloads as they are.
    "data_exports",
    # Answers that were given before, sealed and kept for hours.
    "idempotency_keys",
}


def owned() -> set[str]:
    """The tables whose rows refer to an account."""
    return {
        table.name
        for table in Base.metadata.sorted_tables
        if any(key.column.table is User.__table__ for key in table.foreign_keys)
    }


def exported() -> set[str]:
    rows = [*belongings.tables(OWNER).values(), belongings.files(OWNER)]
    froms = (table for row in rows for table in row.query.get_final_froms())
    return {table.name for table in froms if isinstance(table, Table)}


def test_all_that_refers_to_an_account_is_in_its_export() -> None:
    assert owned() - exported() == NOT_EXPORTED


async def test_all_that_refers_to_an_account_is_erased_step_by_step(
    *,
    engine: AsyncEngine,
    sessions: Sessions,
    workspace: Workspace,
    begin: Begin,
    mark_deleted: MarkDeleted,
) -> None:
    """A cascade would take them all at once, and leave their objects."""
    taken: set[str] = set()

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        taken.update(re.findall(r"^DELETE FROM (\w+)", statement))

    await give(sessions, workspace, OWNER, "mine")
    await mark_deleted(OWNER)
    event.listen(engine.sync_engine, "before_cursor_execute", note)
    await erase(begin, workspace, OWNER, patience=0)
    assert taken == owned() | {"users"}
