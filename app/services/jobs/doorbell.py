"""Telling workers that a queue has work. Failing to is harmless: their sweep finds the work itself."""

import asyncio
import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

from celery import Celery
from kombu.messaging import Producer
from sqlalchemy.ext.asyncio import AsyncSession

from app.celery_app import DOORBELL, direct_queue
from app.core import context

TIMEOUT: Final = 1.0
"""Seconds that one trip to the broker may take."""

_INFO_KEY: Final = "holdfast_queues_to_ring"

_log = logging.getLogger(__name__)


def ring_after_commit(session: AsyncSession, queue: str) -> None:
    """Note that a queue has work once this session's transaction has committed."""
    session.info.setdefault(_INFO_KEY, set()).add(queue)


def queues_to_ring(session: AsyncSession) -> set[str]:
    """The queues noted so far, which are forgotten by this."""
    noted: set[str] = session.info.pop(_INFO_KEY, set())
    return noted


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


class Doorbell:
    """Rings from a thread of its own, so that nobody waits for the broker.

    Rings that come while another is under way are joined: one message a queue says it all.
    """

    def __init__(self, celery: Celery) -> None:
        self._publisher = Publisher(celery)
        self._changed = threading.Condition()
        self._waiting: dict[str, str | None] = {}
        self._closing = False
        self._thread: threading.Thread | None = None

    def ring(self, queues: Iterable[str]) -> None:
        """Tell workers of these queues soon. Never waits and never raises."""
        with self._changed:
            if self._closing:
                return
            for queue in queues:
                self._waiting.setdefault(queue, context.request_id.get())
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._thread.start()
            self._changed.notify()

    async def aclose(self) -> None:
        """Let rings under way go out, for a second at most."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """As ``aclose``, where there is no event loop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(TIMEOUT)

    def _run(self) -> None:
        while (rings := self._next()) is not None:
            for queue, request_id in rings.items():
                with context.bound(context.request_id, request_id):
                    self._publisher.send(DOORBELL, [queue], queue)
        self._publisher.close()

    def _next(self) -> dict[str, str | None] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            rings, self._waiting = self._waiting, {}
            return rings or None
