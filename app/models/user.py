"""The people and programs that own things."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified, Timestamped


class UserRole(StrEnum):
    """What an account may do; ``services.auth.scopes`` says what each role's scopes are."""

    USER = "user"
    ADMIN = "admin"
    SERVICE = "service"


class AccountStatus(StrEnum):
    """Whether an account can be used."""

    ACTIVE = "active"
    DISABLED = "disabled"
    DELETED = "deleted"


class User(Identified, Timestamped, Base):
    """An account."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'admin', 'service')", name="role"),
        CheckConstraint("email = lower(email)", name="email_lower"),
        # The list of administrators, newest first.
        Index("ix_users_role", "role", "id"),
    )

    email: Mapped[str] = mapped_column(String(320), unique=True)
    """In lower case; a deleted account's is replaced, so that the address is free again."""
    pending_email: Mapped[str | None] = mapped_column(String(320))
    """What `email` becomes once somebody has followed the link in a mail to it."""
    name: Mapped[str] = mapped_column(String(200), server_default=text("''"), default="")
    role: Mapped[str] = mapped_column(String(16), server_default=text("'user'"), default=UserRole.USER)
    password_hash: Mapped[str | None] = mapped_column(String(256))
    """Argon2id in PHC form; none for accounts that use API keys alone."""
    password_change_required: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    """Set with a one-time password: nothing but the change of the password is allowed."""
    email_verified_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    """By an administrator."""
    deleted_at: Mapped[datetime | None]
    """By its owner: a job takes what belongs to it, and the row last."""

    @property
    def status(self) -> AccountStatus:
        """Whether it can be used; one that is being deleted is nothing else any more."""
        if self.deleted_at is not None:
            return AccountStatus.DELETED
        return AccountStatus.ACTIVE if self.disabled_at is None else AccountStatus.DISABLED
