"""Reads what is deployed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from app.core.config import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy"
HEALTHCHECK = ["/usr/bin/python3", "-I", "-S", "/app/app/supervision/healthcheck.py"]
"""How a container is asked whether it lives: the HEALTHCHECK of the image."""


def documents(file: Path) -> Iterator[dict[str, Any]]:
    """Every document of a YAML file."""
    yield from yaml.safe_load_all(file.read_text("utf-8"))


def compose(name: str) -> dict[str, Any]:
    """A compose file, anchors resolved."""
    return next(documents(PROJECT_ROOT / name))


def default(value: str) -> str:
    """What a value of compose is where nobody sets its variable."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def seconds(duration: str) -> int:
    """Compose's durations, such as 45s."""
    match = re.fullmatch(r"(\d+)s", duration)
    assert match, duration
    return int(match[1])
