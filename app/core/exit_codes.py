"""Exit codes that mean something to whoever started the process (sysexits.h)."""

from typing import Final

EXIT_CONFIGURATION: Final = 78
"""EX_CONFIG: something was found in an unconfigured or misconfigured state."""
