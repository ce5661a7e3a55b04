"""Alembic's scripts. ``app.core.schema`` runs them, so that every room may ask for their newest revision."""

from app.core.revisions import head_revision
from app.core.schema import downgrade, migrate

__all__ = ["downgrade", "head_revision", "migrate"]
