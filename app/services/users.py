"""Accounts as rows."""

import uuid
from typing import Final

SYSTEM_OWNER: Final = uuid.UUID("00000000-0000-7000-8000-000000000002")
"""Owns the jobs of schedules, which nobody may see or cancel as their own."""

BUILT_IN_OWNER: Final = uuid.UUID("00000000-0000-7000-8000-000000000001")
"""Owned all there was before accounts; the first administrator takes it over, and this row goes."""

INTERNAL: Final = (SYSTEM_OWNER, BUILT_IN_OWNER)
"""Rows that are nobody's account."""
