"""A request that waits for the test, to be in flight while things happen."""

import socket
import threading

from tests.servers import DEADLINE


class SlowUpload(threading.Thread):
    """An upload that goes on with the second half of its body when it is told to, or after so many seconds.

    It keeps the raw answer.
    """

    def __init__(self, port: int, credential: str, content: bytes, *, seconds: float = DEADLINE) -> None:
        super().__init__(daemon=True)
        self.answer = b""
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self._port = port
        self._credential = credential
        self._content = content
        self._seconds = seconds

    def run(self) -> None:
        """Send it, then read until the server closes."""
        half = len(self._content) // 2
        with socket.create_connection(("127.0.0.1", self._port), timeout=DEADLINE) as connection:
            head = (
                "POST /api/v1/media?filename=film.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: {self._credential}\r\n"
                f"Content-Type: video/mp4\r\nContent-Length: {len(self._content)}\r\n\r\n"
            )
            connection.sendall(head.encode() + self._content[:half])
            self.begun.set()
            self.go_on.wait(self._seconds)
            connection.sendall(self._content[half:])
            while data := connection.recv(65536):
                self.answer += data
