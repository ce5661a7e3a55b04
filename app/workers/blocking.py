"""A connection to the database for threads that must go on when the event loop does not."""

from typing import Any, Final

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError

from app.core.config.groups import DatabaseSettings
from app.core.database import address

TIMEOUT: Final = 5
"""Whole seconds that one statement may take, and that a silent network is waited for."""


class Line:
    """One connection in autocommit, opened when it is needed, and anew after it broke."""

    def __init__(self, database: DatabaseSettings, *, name: str) -> None:
        self._engine: Engine = create_engine(
            address(database),
            pool_size=1,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "connect_timeout": database.connect_timeout,
                "application_name": name,
                "options": f"-c statement_timeout={TIMEOUT * 1000} -c timezone=UTC",
                "keepalives_idle": TIMEOUT,
                "keepalives_interval": 2,
                "keepalives_count": 2,
                "tcp_user_timeout": TIMEOUT * 1000,
            },
        )

    def rows(self, statement: Any) -> list[Any]:
        """The rows of one statement, which is a transaction of its own.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; the next call connects anew.
        """
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(statement))
        except DBAPIError:
            self._engine.dispose()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()
