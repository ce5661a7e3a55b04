"""Registration and the mails around it."""

from typing import Annotated

from pydantic import AfterValidator, EmailStr, Field, SecretStr
from pydantic_core import PydanticCustomError

from app.schemas.base import BaseSchema, Text
from app.schemas.passwords import NewPassword


def _mailable(address: str) -> str:
    # Such need SMTPUTF8 (RFC 6531) on every server of the way; a domain has an ASCII form.
    if not address.rpartition("@")[0].isascii():
        raise PydanticCustomError(
            "address_not_ascii", "Mail cannot be sent to this address: before the @ only ASCII is possible"
        )
    return address.lower()


EmailAddress = Annotated[EmailStr, Field(max_length=320), AfterValidator(_mailable)]
"""An address that mail can be sent to, in lower case; whether it can be reached is not asked."""

Name = Annotated[Text, Field(max_length=200)]

MailToken = Annotated[SecretStr, Field(min_length=1, max_length=4096)]
"""The token of a link in a mail."""


class Registration(BaseSchema):
    """A new account. Its password is chosen by whoever gets the mail."""

    email: EmailAddress
    name: Name = ""


class AddressGiven(BaseSchema):
    """Where a mail is asked for."""

    email: EmailAddress


class Verification(BaseSchema):
    """What a mail proves."""

    token: MailToken
    password: NewPassword | None = Field(
        None, description="Of a new account; not with the token of another address of an account."
    )


class PasswordReset(BaseSchema):
    """A new password, with what a mail proves."""

    token: MailToken
    password: NewPassword


class Accepted(BaseSchema):
    """The same whether the address has an account or not."""

    message: str = Field(examples=["If this address can be used, a mail is on its way."])
