"""API keys: what is asked for, and what is told of them."""

from typing import Annotated, Final

from pydantic import Field

from app.schemas.base import BaseSchema, Shown, Text, Timestamp, TimestampSchema

DEFAULT_DAYS: Final = 90
LONGEST_DAYS: Final = 365
"""Days that a key holds; none holds for ever."""

MOST_SCOPES: Final = 32

_Scope = Annotated[Text, Field(max_length=32)]


class ApiKeyCreate(BaseSchema):
    """A key to be made."""

    name: Text = Field(
        min_length=1, max_length=100, description="What it is for.", examples=["nightly import"]
    )
    scopes: list[_Scope] = Field(
        min_length=1,
        max_length=MOST_SCOPES,
        description="What it may do, of what the account's role allows.",
        examples=[["media:read", "media:write"]],
    )
    expires_in_days: int = Field(DEFAULT_DAYS, ge=1, le=LONGEST_DAYS, description="Days that it holds.")


class ApiKeyResponse(TimestampSchema):
    """A key, without the key."""

    name: str
    prefix: str = Field(description="Its first characters, to know it again by.", examples=["hfk_Zm9vYmFy"])
    scopes: list[str]
    expires_at: Timestamp | None
    last_used_at: Timestamp | None = Field(description="To the minute.")
    revoked_at: Timestamp | None


class ApiKeyCreated(ApiKeyResponse):
    """A new key. It is shown here and never again."""

    key: Shown = Field(description="To be sent as `X-API-Key`, or as a bearer token.")
