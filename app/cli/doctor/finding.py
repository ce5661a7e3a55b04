"""What was looked at, and what is to be done about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: fine where ``fix`` is empty."""

    subject: str
    said: str
    fix: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether something has to be done."""
        return bool(self.fix)
