"""What people are told to run."""

import sys
from pathlib import Path
from typing import Final

_CHECKOUT: Final = Path(__file__).resolve().parents[2]


def command(name: str) -> str:
    """How a command of ``holdfast`` is called here, in backticks.

    The Makefile's environment is within the checkout, and on nobody's PATH; in an image and in the Nix shell
    there is no ``make``, and ``holdfast`` is there.
    """
    program = "make" if Path(sys.prefix).is_relative_to(_CHECKOUT) else "holdfast"
    return f"`{program} {name}`"
