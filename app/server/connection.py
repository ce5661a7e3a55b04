"""What a request may look like."""

from typing import Any

import h11


class StrictConnection(h11.Connection):
    """Refuses requests that h11 would let through."""

    def __init__(self, max_header_size: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=max_header_size)
        self._max_header_size = max_header_size
        self.headers: list[tuple[bytes, bytes]] = []
        """Those of the latest request."""
        self.asks_for_upgrade = False

    def next_event(self) -> Any:
        """The next event of the connection.

        Raises:
            h11.RemoteProtocolError: with the status to answer.
        """
        event = super().next_event()
        if type(event) is h11.Request:
            self._check(event)
        return event

    def _check(self, request: h11.Request) -> None:
        size, framings, upgrades = len(request.target), 0, 0
        self.headers = list(request.headers)  # once: to go through h11's own sequence is slow
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            framings += name in (b"content-length", b"transfer-encoding")
            upgrades += name == b"upgrade"
        self.asks_for_upgrade = upgrades > 0
        if size > self._max_header_size:  # h11 itself counts only what arrives in more than one piece
            raise h11.RemoteProtocolError("headers too large", error_status_hint=431)
        if framings > 1:
            # RFC 9112, section 6.1: two lengths are how requests are smuggled past a proxy.
            raise h11.RemoteProtocolError("Content-Length with Transfer-Encoding", error_status_hint=400)
        if request.http_version not in (b"1.1", b"1.0"):
            raise h11.RemoteProtocolError("not HTTP/1.1", error_status_hint=505)
