"""Telling workers that a queue has work. Failing to is harmless: their sweep finds the work itself."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Final

from celery import Celery
from sqlalchemy.ext.asyncio import AsyncSession

from app.celery_app import DOORBELL
from app.core import context
from app.services.publisher import TIMEOUT, Publisher

_INFO_KEY: Final = "holdfast_queues_to_ring"


def ring_after_commit(session: AsyncSession, queue: str) -> None:
    """Note that a queue has work once this session's transaction has committed."""
    session.info.setdefault(_INFO_KEY, set()).add(queue)


def queues_to_ring(session: AsyncSession) -> set[str]:
    """The queues noted so far, which are forgotten by this."""
    noted: set[str] = session.info.pop(_INFO_KEY, set())
    return noted


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
