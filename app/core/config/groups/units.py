"""What settings are measured in."""

from typing import Final

from pydantic import PositiveFloat, PositiveInt

Seconds = PositiveFloat
Bytes = PositiveInt
MIB: Final = 1024 * 1024
