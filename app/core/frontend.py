"""The front end's files: the names that they are known by, and what they must be to be served."""

import os
from pathlib import Path
from typing import Final

INDEX: Final = "index.html"
ASSETS: Final = "/assets/"
"""The path of files whose names change with their content, as build tools name them."""
ASSETS_ROUTE: Final = "/assets/{path}"
PAGES_ROUTE: Final = "/{path}"
"""What the log and the metrics call them: two names, however many files there are."""


def problem_with(folder: Path) -> str | None:
    """Why a folder cannot be served, or None where it can."""
    if not os.path.isdir(folder):  # noqa: PTH112 - Path's own raises where it may not look
        return "is no folder"
    if not os.access(folder / INDEX, os.R_OK):
        return f"holds no {INDEX} that can be read"
    return None
