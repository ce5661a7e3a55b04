"""Exit codes that mean something to whoever started the process (sysexits.h)."""

from typing import Final

EXIT_FAILED: Final = 1
"""It could not start, or something ended it that is no fault of the configuration."""

EXIT_CONFIGURATION: Final = 78
"""EX_CONFIG: something was found in an unconfigured or misconfigured state."""
