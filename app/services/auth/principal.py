"""Who asks."""

import uuid
from dataclasses import dataclass

from app.models.user import UserRole
from app.services.auth.scopes import Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """An account, by a login or by an API key, with what it may do now."""

    user_id: uuid.UUID
    role: UserRole
    scopes: frozenset[Scope]
    session_id: uuid.UUID | None = None
    api_key_id: uuid.UUID | None = None
    password_change_required: bool = False
