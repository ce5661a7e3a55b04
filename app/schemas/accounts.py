"""Registration and the mails around it."""

from typing import Annotated, Self

from pydantic import AfterValidator, EmailStr, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.base import BaseSchema, Text
from app.schemas.passwords import NewPassword

EmailAddress = Annotated[EmailStr, Field(max_length=320), AfterValidator(str.lower)]
"""An address, in lower case; whether it can be reached is not asked."""

Name = Annotated[Text, Field(max_length=200)]

MailToken = Annotated[SecretStr, Field(min_length=1, max_length=4096)]
"""The token of a link in a mail."""


class Registration(BaseSchema):
    """A new account."""

    email: EmailAddress
    password: NewPassword
    name: Name = ""

    @model_validator(mode="after")
    def _is_no_address(self) -> Self:
        if self.password.get_secret_value().lower() == self.email:
            raise PydanticCustomError("address_as_password", "The password must not be the address.")
        return self


class AddressGiven(BaseSchema):
    """Where a mail is asked for."""

    email: EmailAddress


class Verification(BaseSchema):
    """What a mail proves."""

    token: MailToken


class PasswordReset(BaseSchema):
    """A new password, with what a mail proves."""

    token: MailToken
    password: NewPassword


class Accepted(BaseSchema):
    """The same whether the address has an account or not."""

    message: str = Field(examples=["If this address can be used, a mail is on its way."])
