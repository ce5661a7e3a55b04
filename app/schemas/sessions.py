"""Sessions as their owner sees them."""

from pydantic import Field

from app.schemas.base import Timestamp, TimestampSchema


class SessionResponse(TimestampSchema):
    """One login on one device."""

    last_used_at: Timestamp = Field(description="The login or the last refresh.")
    expires_at: Timestamp = Field(description="It ends then, unless it is refreshed before.")
    by_cookie: bool = Field(description="A browser in cookie mode.")
    address: str | None = Field(description="Where the login came from.")
    user_agent: str | None
    current: bool = Field(False, description="The one that asks.")
