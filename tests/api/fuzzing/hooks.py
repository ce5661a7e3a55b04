"""What schemathesis is told: which credentials to send, and how they are sent.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS), in its process; the environment says whose and where.
"""

import os
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import schemathesis
from schemathesis import AuthContext, Case, HookContext

from app.core.config import AppSettings, load_settings, secret_text
from app.core.security import KeyRing
from app.models.base import new_id
from app.services.auth.tokens import Tokens
from tests.accounts import ROLES
from tests.servers import plain

ACCOUNT = uuid.UUID(os.environ["FUZZED_ACCOUNT"])


@cache
def settings() -> AppSettings:
    return load_settings(directory=Path("/nonexistent"))


@cache
def database() -> psycopg.Connection:
    return psycopg.connect(plain(settings().database.url.get_secret_value()), autocommit=True)


@schemathesis.hook
def before_load_schema(_context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Say of OAuth 2.0 what it is on the wire, or schemathesis would not know which header to leave out."""
    raw_schema["components"]["securitySchemes"]["bearer"] = {"type": "http", "scheme": "bearer"}


# A piece of a file goes over the wire as it is.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@schemathesis.auth()
class Login:
    """A login of its own for each request, so that no request can end another's, by the account as it was."""

    def get(self, _case: Case[Any], context: AuthContext) -> str:
        """A token."""
        if context.operation.path == "/metrics":
            return secret_text(settings().server.metrics_token)
        session_id = new_id()
        database().execute(
            "UPDATE users SET role = %s, disabled_at = NULL, deleted_at = NULL WHERE id = %s",
            (ROLES[ACCOUNT], ACCOUNT),
        )
        database().execute(
            "INSERT INTO sessions (id, user_id, refresh_hash, last_used_at, expires_at) "
            "VALUES (%s, %s, repeat('0', 64), now(), now() + interval '1 day')",
            (session_id, ACCOUNT),
        )
        return Tokens(KeyRing.from_settings(settings().auth), settings().auth).access(ACCOUNT, session_id)

    def set(self, case: Case[Any], data: str, _context: AuthContext) -> None:
        """Send it."""
        case.headers["Authorization"] = f"Bearer {data}"
