"""Sending messages to the broker: once, and without waiting long for it."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from celery import Celery
from kombu.messaging import Producer

from app.celery_app import direct_queue

TIMEOUT: Final = 1.0
"""Seconds that one trip to the broker may take."""

_log = logging.getLogger(__name__)


class Publisher:
    """Sends messages over a connection of its own, kept between them. For one thread at a time."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._connection: Any = None
        self._producer: Any = None

    def send(self, task: str, args: Sequence[object], queue: str) -> bool:
        """Send one message without trying twice; says whether the broker took it. Never raises."""
        try:
            self._celery.send_task(
                task,
                args=list(args),
                queue=direct_queue(queue),
                producer=self._open(),
                retry=False,
                ignore_result=True,
            )
        except Exception as error:  # noqa: BLE001 - every fault of a broker means the same: it was not sent
            _log.warning("message_not_sent", extra={"task": task, "queue": queue, "error": repr(error)})
            self.close()
            return False
        return True

    def close(self) -> None:
        """Close the connection; the next message opens another."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            try:
                connection.release()
            except Exception:  # noqa: BLE001 - it is being thrown away, and may be broken in any way
                _log.debug("broker_connection_not_closed", exc_info=True)

    def _open(self) -> Any:
        if self._producer is None:
            self._connection = self._celery.connection_for_write(
                connect_timeout=TIMEOUT,
                transport_options={"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT},
            )
            self._producer = Producer(  # type: ignore[no-untyped-call]  # kombu has no types
                self._connection, auto_declare=False
            )
        return self._producer
