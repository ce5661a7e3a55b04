"""Settings for tests."""

import os
from pathlib import Path

from app.core.config import AppSettings, load_settings

NOWHERE = Path("/nonexistent")
"""A folder without ``.env``, so that a developer's own settings never reach a test."""


SECRET_KEY = "7d0c2a9f41e8b6357d0c2a9f41e8b635tests"
"""Of every test's settings and processes, so that tokens made by one hold in the other."""

PATIENT = {
    "PASSWORD_HASH_MEMORY": "1024",
    "PASSWORD_HASH_PASSES": "1",
    "RATE_LIMIT_DEFAULT": "1000000/minute",
    "RATE_LIMIT_ACCOUNT": "1000000/minute",
    "RATE_LIMIT_LOGIN": "1000000/minute",
    "RATE_LIMIT_REGISTER": "1000000/minute",
    "RATE_LIMIT_RESET": "1000000/minute",
    "RATE_LIMIT_PATIENCE": "10",
    "DATABASE_CONNECT_TIMEOUT": "60",
    "DATABASE_IDLE_IN_TRANSACTION_TIMEOUT": "120",
    "DATABASE_POOL_TIMEOUT": "60",
    "DATABASE_STATEMENT_TIMEOUT": "60",
    "REDIS_TIMEOUT": "60",
    "REFRESH_GRACE": "60",
}
"""Tests hash many passwords, send many requests from one address, and run on busy machines, which may stand
still between any two steps: what ends a wait in operation must not end a test."""


def make_settings(folder: Path, database_url: str, redis_url: str, **values: str) -> AppSettings:
    """Settings of a test: its own folders and addresses, then what it asks for."""
    environment = {
        "APP_ENV": "testing",
        "STATE_DIR": str(folder),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_POOL_SIZE": "5",
        "WORKSPACE_MINIMUM_FREE": "0",
    }
    return load_settings(environment | PATIENT | values, directory=NOWHERE)


def unmeasured() -> dict[str, str]:
    """The environment for a program of others: nobody asks for its coverage, and it is slower with it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
