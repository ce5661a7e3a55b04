"""The revisions of the migration scripts, told from their files alone.

Every process asks for them, and Alembic, which would tell too, takes 12 MB of its memory.
"""

import ast
from pathlib import Path
from typing import Any, Final

import app

SCRIPTS: Final = Path(app.__file__).parent / "migrations"


def head_revision() -> str:
    """The newest revision of the scripts, several joined by commas. Reads files."""
    return ",".join(sorted(_followed().keys() - older_revisions()))


def older_revisions() -> frozenset[str]:
    """Every revision of the scripts that is not the newest. Reads files.

    One that is in neither set was made by newer code: a rollout migrates before the old processes end.
    """
    return frozenset(revision for before in _followed().values() for revision in before)


def _followed() -> dict[str, tuple[str, ...]]:
    """Each revision with those that it follows: none, one or, where two lines meet, several."""
    followed: dict[str, tuple[str, ...]] = {}
    for path in (SCRIPTS / "versions").glob("*.py"):
        names = _constants(path)
        before = names["down_revision"] or ()
        followed[names["revision"]] = (before,) if isinstance(before, str) else tuple(before)
    return followed


def _constants(path: Path) -> dict[str, Any]:
    """What a script names at its top level and says literally."""
    return {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id in {"revision", "down_revision"}
    }
