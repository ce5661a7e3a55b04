"""What people are told to run."""

import sys
from pathlib import Path
from typing import Final

_ENVIRONMENT: Final = Path(__file__).resolve().parents[2] / ".venv"


def in_checkout() -> bool:
    """Whether this is the environment that ``make`` keeps, whose programs are on nobody's PATH.

    In an image and in the Nix shell there is no ``make``, and ``holdfast`` is there.
    """
    return Path(sys.prefix).resolve() == _ENVIRONMENT


def spoken(name: str) -> str:
    """How a command of ``holdfast`` is called here."""
    return f"make {name}" if in_checkout() else f"holdfast {name}"


def command(name: str) -> str:
    """The same in backticks, for a sentence."""
    return f"`{spoken(name)}`"


def program(arguments: str) -> str:
    """``holdfast`` itself with its arguments, for what ``make`` does not have."""
    return f"`{'.venv/bin/' if in_checkout() else ''}holdfast {arguments}`"
