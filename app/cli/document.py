"""``openapi``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import print_json
from app.core.config import load_settings
from app.main import create_app


def openapi(
    file: Annotated[
        Path | None, typer.Argument(help="Where to write it; standard output if not given.")
    ] = None,
) -> None:
    """Print the OpenAPI document, without starting anything."""
    document = create_app(load_settings()).openapi()
    if file is None:
        print_json(document)
    else:
        file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
