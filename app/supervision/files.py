"""Small JSON files in the run folder, through which the supervisor tells other processes things."""

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace the file in one step, so that nobody reads half of it.

    Raises:
        OSError: the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(json.dumps(value) + "\n")
    draft.replace(path)
