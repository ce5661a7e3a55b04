"""Whether a credential stands, as rows tell it, and who comes by it."""

from typing import Any

from sqlalchemy import Row, Select, and_, func, or_, select

from app.models.api_key import ApiKey
from app.models.session import Session
from app.models.user import User, UserRole
from app.services.auth.principal import Principal
from app.services.auth.scopes import Scope, key_scopes, session_scopes

_ALIVE = and_(User.disabled_at.is_(None), User.deleted_at.is_(None))


def sessions() -> Select[*tuple[Any, ...]]:
    """The sessions that stand."""
    return (
        select(Session.id, Session.user_id, User.role, User.password_change_required)
        .join(User, User.id == Session.user_id)
        .where(_ALIVE, Session.revoked_at.is_(None), Session.expires_at > func.now())
    )


def by_session(row: Row[Any]) -> Principal:
    """Who comes by a session."""
    role, must_change = UserRole(row.role), row.password_change_required
    scopes = session_scopes(role, password_change_required=must_change)
    return Principal(row.user_id, role, scopes, session_id=row.id, password_change_required=must_change)


def api_keys() -> Select[*tuple[Any, ...]]:
    """The API keys that stand."""
    return (
        select(ApiKey.id, ApiKey.user_id, ApiKey.scopes, ApiKey.last_used_at, User.role)
        .join(User, User.id == ApiKey.user_id)
        .where(_ALIVE, ApiKey.revoked_at.is_(None))
        .where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()))
    )


def by_api_key(row: Row[Any]) -> Principal:
    """Who comes by an API key: with what it was given, and its account's role still allows."""
    role = UserRole(row.role)
    scopes = key_scopes(role) & {scope for scope in Scope if scope in row.scopes}
    return Principal(row.user_id, role, scopes, api_key_id=row.id)
