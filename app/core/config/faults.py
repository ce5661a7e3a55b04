"""What is wrong with a configuration, said so that it can be put right."""

import os
from dataclasses import dataclass

from app.core.exit_codes import EXIT_CONFIGURATION


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one variable. Never holds the value, which may be a secret."""

    name: str
    problem: str
    expected: str

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}; expected {self.expected}"


class ConfigurationError(Exception):
    """The configuration cannot be used. ``faults`` lists every fault that was found."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


def exit_on_faults(error: ConfigurationError) -> SystemExit:
    """Write one line a fault to standard error, in one write, and give the exit to raise."""
    os.write(2, "".join(f"configuration: {fault}\n" for fault in error.faults).encode())
    return SystemExit(EXIT_CONFIGURATION)
