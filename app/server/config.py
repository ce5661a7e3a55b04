"""What all connections of one server share."""

import time

from hypercorn.config import Config

from app.server.idle import IdleConnections


class ServerConfig(Config):
    """Hypercorn's, with what all connections of one server share."""

    def __init__(self, keep_alive_timeout: float) -> None:
        super().__init__()
        self.keep_alive_timeout = keep_alive_timeout
        self.idle = IdleConnections(keep_alive_timeout)
        self._dated_at = 0
        self._headers: list[tuple[bytes, bytes]] = []

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Those of every answer, made once a second: only the date changes in them."""
        now = int(time.time())
        if now != self._dated_at:
            self._dated_at, self._headers = now, super().response_headers(protocol)
        return self._headers
