"""What can be allowed, by name, and what each role may do."""

from enum import StrEnum
from typing import Final

from app.models.user import UserRole


class Scope(StrEnum):
    """A right. Routes name the ones that they ask for."""

    ACCOUNT_READ = "account:read"
    ACCOUNT_WRITE = "account:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    MEDIA_READ = "media:read"
    MEDIA_WRITE = "media:write"
    USERS_ADMIN = "users:admin"
    AUDIT_READ = "audit:read"
    SYSTEM_READ = "system:read"


DESCRIPTIONS: Final[dict[Scope, str]] = {
    Scope.ACCOUNT_READ: "See one's own account.",
    Scope.ACCOUNT_WRITE: "Change one's own account: password, sessions, API keys. No API key may have it.",
    Scope.JOBS_READ: "See one's own jobs.",
    Scope.JOBS_WRITE: "Cancel and retry one's own jobs.",
    Scope.MEDIA_READ: "See and download one's own files.",
    Scope.MEDIA_WRITE: "Upload, change and delete one's own files.",
    Scope.USERS_ADMIN: "See, make, change and disable accounts.",
    Scope.AUDIT_READ: "Read the audit log.",
    Scope.SYSTEM_READ: "See how the system is: health in detail, storage.",
}

_WORK: Final = frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.MEDIA_READ, Scope.MEDIA_WRITE})
_OWN: Final = _WORK | {Scope.ACCOUNT_READ, Scope.ACCOUNT_WRITE}

ROLE_SCOPES: Final[dict[UserRole, frozenset[Scope]]] = {
    UserRole.USER: _OWN,
    UserRole.ADMIN: frozenset(Scope),
    UserRole.SERVICE: _WORK | {Scope.ACCOUNT_READ},
}

SESSION_ONLY: Final = frozenset({Scope.ACCOUNT_WRITE})
"""What takes a person at a login: a stolen key must not be able to make others or to change the password."""

BEFORE_PASSWORD_CHANGE: Final = frozenset({Scope.ACCOUNT_READ, Scope.ACCOUNT_WRITE})
"""What is left to whoever still has a one-time password."""


def key_scopes(role: UserRole) -> frozenset[Scope]:
    """The scopes that API keys of an account of this role may have."""
    return ROLE_SCOPES[role] - SESSION_ONLY


def session_scopes(role: UserRole, *, password_change_required: bool) -> frozenset[Scope]:
    """What a login of an account of this role may do."""
    scopes = ROLE_SCOPES[role]
    return scopes & BEFORE_PASSWORD_CHANGE if password_change_required else scopes
