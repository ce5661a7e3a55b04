"""What the link of a mail stands for: a stamp of what it changes, so that it holds once."""

from app.core.security import digest
from app.models.user import User


def verification_stamp(user: User) -> str:
    """For the address that the account has."""
    return digest(f"verify\n{user.email}")


def change_stamp(user: User) -> str:
    """For the address that it is to have in place of the present one; not after a new password."""
    return digest(f"change\n{user.email}\n{user.pending_email}\n{user.password_hash}")


def reset_stamp(user: User) -> str:
    """For a new password in place of the present one."""
    return digest(f"reset\n{user.email}\n{user.password_hash}")
