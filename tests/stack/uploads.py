"""A request that takes its time, to be in flight while things happen."""

import socket
import threading
import time

PIECES = 50


class SlowUpload(threading.Thread):
    """An upload whose body takes about five seconds; keeps the raw answer."""

    def __init__(self, port: int, credential: str, content: bytes) -> None:
        super().__init__()
        self.answer = b""
        self.begun = threading.Event()
        self._port = port
        self._credential = credential
        self._content = content

    def run(self) -> None:
        """Send it piece by piece, then read until the server closes."""
        size = len(self._content) // PIECES + 1
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            head = (
                "POST /api/v1/media?filename=film.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: {self._credential}\r\n"
                f"Content-Type: video/mp4\r\nContent-Length: {len(self._content)}\r\n\r\n"
            )
            connection.sendall(head.encode())
            for number in range(PIECES):
                connection.sendall(self._content[number * size : (number + 1) * size])
                self.begun.set()
                time.sleep(0.1)
            while data := connection.recv(65536):
                self.answer += data
