"""One's own account, and copies of all that belongs to it."""

import uuid
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.models.user import UserRole
from app.schemas.accounts import EmailAddress, Name
from app.schemas.base import BaseSchema, Timestamp, TimestampSchema
from app.schemas.passwords import GivenPassword


class Me(TimestampSchema):
    """The account of who asks."""

    email: str = Field(examples=["anna@example.org"])
    name: str
    role: UserRole
    email_verified_at: Timestamp | None
    pending_email: str | None = Field(description="Becomes `email` once it is verified.")
    password_change_required: bool = Field(description="Until then little else is allowed.")


class MeUpdate(BaseSchema):
    """What changes; the rest stays."""

    name: Name | None = None
    email: EmailAddress | None = Field(
        None, description="Counts once the link in the mail to it was followed. Needs `password`."
    )
    password: GivenPassword | None = Field(None, description="The present one, for a change of `email`.")

    @model_validator(mode="after")
    def _is_confirmed(self) -> Self:
        if self.email is not None and self.password is None:
            raise PydanticCustomError("password_missing", "A change of `email` needs `password`.")
        return self


class AccountDeletion(BaseSchema):
    """The account's present password, so that a stolen session alone cannot delete it."""

    password: GivenPassword


class DeletionAccepted(BaseSchema):
    """The account is gone for everybody; a job takes what belonged to it."""

    message: str = Field(examples=["The account is deleted; its data goes within minutes."])


class ExportState(StrEnum):
    """How far an export is."""

    PENDING = "pending"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


class Export(TimestampSchema):
    """A copy of all that belongs to the account."""

    state: ExportState = Field(description="Its content can be had while it is `ready`.")
    size: int | None = Field(description="Bytes, once it is ready.")
    expires_at: Timestamp
    job_id: uuid.UUID | None = Field(description="The job that makes it.")
    error: str | None = Field(description="Why there is none.")
