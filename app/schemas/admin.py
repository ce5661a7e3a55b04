"""Accounts as an administrator sees and changes them."""

from enum import StrEnum
from typing import Literal

from pydantic import Field, StrictBool

from app.models.user import AccountStatus, UserRole
from app.schemas.accounts import EmailAddress, Name
from app.schemas.base import BaseSchema, Shown, Timestamp, TimestampSchema


class AccountOrder(StrEnum):
    """By what accounts are ordered; a minus turns it round."""

    OLDEST = "created_at"
    NEWEST = "-created_at"
    EMAIL = "email"
    EMAIL_BACKWARDS = "-email"


class AccountResponse(TimestampSchema):
    """An account."""

    email: str
    name: str
    role: UserRole
    status: AccountStatus
    password_change_required: bool = Field(description="It still has a one-time password.")
    email_verified_at: Timestamp | None
    disabled_at: Timestamp | None
    deleted_at: Timestamp | None = Field(description="Since when it is being deleted.")


class AccountCreate(BaseSchema):
    """An account to be made."""

    email: EmailAddress
    name: Name = ""
    role: UserRole = Field(UserRole.USER, description="A `service` uses API keys alone and has no password.")


class AccountCreated(AccountResponse):
    """A new account."""

    one_time_password: Shown | None = Field(
        description="Shown here and never again; to be changed at the first login. None for a service."
    )


class AccountUpdate(BaseSchema):
    """What is to change; what is not given stays."""

    role: Literal[UserRole.USER, UserRole.ADMIN] | None = Field(
        None, description="Service accounts stay what they are."
    )
    disabled: StrictBool | None = Field(None, description="Whether it is shut out.")
    name: Name | None = None
