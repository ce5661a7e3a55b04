"""Logging in, refreshing, and what these answer."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, validate_email
from pydantic_core import PydanticCustomError

from app.schemas.base import BaseSchema, Shown, Text
from app.schemas.passwords import GivenPassword, NewPassword


def _as_registered(text: str) -> str:
    try:
        return validate_email(text)[1].lower()
    except PydanticCustomError:
        # Those of `holdfast create-admin` may be local ones, such as admin@localhost.
        return text.strip().lower()


LoginAddress = Annotated[Text, Field(min_length=1, max_length=320), AfterValidator(_as_registered)]
"""In the form that accounts are stored with. Any text is taken: it fits an account or it does not."""

GivenRefreshToken = Annotated[SecretStr, Field(min_length=1, max_length=512)]


class LoginRequest(BaseSchema):
    """An address and its password."""

    email: LoginAddress
    password: GivenPassword
    cookie: bool = Field(
        default=False, description="For browsers: the tokens come as cookies that scripts cannot read."
    )


class TokenForm(BaseSchema):
    """The form of OAuth 2.0 (RFC 6749, section 4.3.2), for tools."""

    # Parameters that are not known are to be passed over (RFC 6749, section 3.2).
    model_config = ConfigDict(extra="ignore")

    grant_type: Literal["password"] = "password"
    username: LoginAddress = Field(description="The e-mail address.")
    password: GivenPassword
    scope: str = Field(
        "", max_length=1000, description="Passed over: the answer says what the token may do (section 3.3)."
    )


class RefreshRequest(BaseSchema):
    """The refresh token of the last answer."""

    refresh_token: GivenRefreshToken


class PasswordChange(BaseSchema):
    """The password that is, and the one that shall be."""

    current_password: GivenPassword
    new_password: NewPassword


class TokenResponse(BaseSchema):
    """The pair of tokens (RFC 6749, section 5.1)."""

    access_token: Shown
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a type's name
    expires_in: int = Field(ge=0, description="Seconds that the access token holds.")
    refresh_token: Shown = Field(description="For one use: the answer to it holds the next one.")
    scope: str = Field(description="What the access token may do, separated by blanks.")


class CookieResponse(BaseSchema):
    """The tokens are in cookies; this is what a page needs to know."""

    csrf_token: Shown = Field(description="For `X-CSRF-Token` on all that changes something.")
    expires_in: int = Field(ge=0, description="Seconds until a refresh is due.")
    scope: str = Field(description="What the login may do, separated by blanks.")


class CsrfResponse(BaseSchema):
    """The token of the session that the cookies are of."""

    csrf_token: Shown
