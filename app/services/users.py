"""Accounts as rows."""

import uuid
from typing import Final

SYSTEM_OWNER: Final = uuid.UUID("00000000-0000-7000-8000-000000000002")
"""Owns the jobs of schedules, which nobody may see or cancel as their own."""
