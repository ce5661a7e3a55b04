"""Accounts, and the mail that they get."""

from typing import Annotated, Literal

from pydantic import AfterValidator, EmailStr, Field, NonNegativeFloat, PositiveInt

from app.core.config.fields import Env, Group, OptionalSecret, OptionalText


class AuthSettings(Group):
    """Accounts: what signs tokens, how long things hold, and what a password costs."""

    secret_key: Annotated[OptionalSecret, Env("SECRET_KEY", "JWT_SECRET_KEY", "JWT_SECRET")] = Field(
        None, description="at least 32 random characters, e.g. from `openssl rand -base64 48`"
    )
    secret_key_previous: Annotated[OptionalSecret, Env("SECRET_KEY_PREVIOUS")] = Field(
        None, description="the SECRET_KEY before this one, so that its tokens hold until they expire"
    )
    issuer: Annotated[str, Env("AUTH_ISSUER")] = Field(
        "holdfast", min_length=1, description="the name in `iss` of tokens"
    )
    audience: Annotated[str, Env("AUTH_AUDIENCE")] = Field(
        "holdfast-api", min_length=1, description="the name in `aud` of tokens"
    )
    access_token_seconds: Annotated[PositiveInt, Env("ACCESS_TOKEN_SECONDS")] = Field(
        900, le=86400, description="seconds that an access token holds, at most 86400"
    )
    session_days: Annotated[PositiveInt, Env("SESSION_DAYS")] = Field(
        30, le=3650, description="days without a refresh after which a session ends"
    )
    refresh_grace: Annotated[NonNegativeFloat, Env("REFRESH_GRACE")] = Field(
        10.0, le=60, description="seconds from 0 to 60 in which a replaced refresh token is no theft"
    )
    revocation_seconds: Annotated[NonNegativeFloat, Env("REVOCATION_SECONDS")] = Field(
        2.0, le=60, description="seconds from 0 to 60 until a revoked session's access tokens end"
    )
    mail_token_seconds: Annotated[PositiveInt, Env("MAIL_TOKEN_SECONDS")] = Field(
        3600, le=604800, description="seconds that a link in a mail holds"
    )
    registration: Annotated[bool, Env("REGISTRATION_ENABLED")] = Field(
        default=True, description="true or false: whether people may register themselves"
    )
    first_admin_email: Annotated[EmailStr, AfterValidator(str.lower), Env("FIRST_ADMIN_EMAIL")] = Field(
        "admin@localhost.localdomain",
        max_length=320,
        description="the e-mail address of the administrator that the first start makes",
    )
    password_memory: Annotated[int, Env("PASSWORD_HASH_MEMORY")] = Field(
        65536, ge=1024, le=4194304, description="KiB of memory of one Argon2id hash"
    )
    password_passes: Annotated[int, Env("PASSWORD_HASH_PASSES")] = Field(
        3, ge=1, le=100, description="passes of one Argon2id hash"
    )


class EmailSettings(Group):
    """SMTP. Off until SMTP_HOST is set."""

    smtp_host: Annotated[OptionalText, Env("SMTP_HOST")] = Field(None, description="the mail server's name")
    smtp_port: Annotated[int, Env("SMTP_PORT")] = Field(587, ge=1, le=65535, description="a port")
    smtp_user: Annotated[OptionalText, Env("SMTP_USER", "SMTP_USERNAME")] = Field(
        None, description="a user name, together with SMTP_PASSWORD"
    )
    smtp_password: Annotated[OptionalSecret, Env("SMTP_PASSWORD")] = Field(
        None, description="a password, together with SMTP_USER"
    )
    smtp_tls: Annotated[Literal["starttls", "tls", "none"], Env("SMTP_TLS")] = Field(
        "starttls", description="starttls, tls or none"
    )
    sender: Annotated[OptionalText, Env("EMAIL_FROM", "EMAILS_FROM_EMAIL")] = Field(
        None, description="the address that mail comes from"
    )
