"""Where a request comes from, as far as it can be told."""

from dataclasses import dataclass
from typing import Final

ADDRESS_LENGTH: Final = 64
USER_AGENT_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """The client's address and what it calls itself; both are cut to what the tables hold."""

    address: str | None = None
    user_agent: str | None = None
