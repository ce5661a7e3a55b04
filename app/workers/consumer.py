"""Celery's consumer, made to come back to the broker within seconds, however it was lost."""

import logging
from typing import Any, Final

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

LONGEST_PAUSE: Final = 2.0
"""Seconds between two attempts to connect. Celery's own pause grows to 32 s with the length of the outage."""

_log = logging.getLogger(__name__)


class PromptConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Tries again every two seconds at the most, for as long as it takes."""

    def ensure_connected(self, conn: Any) -> Any:
        """The connection, once it stands; ends early where the worker is told to stop."""
        connected = conn.ensure_connection(
            _tell,
            None,
            interval_start=0.5,
            interval_step=0.5,
            interval_max=LONGEST_PAUSE,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        self.broker_connection_retry_attempt = 0
        return connected

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a lost connection; the next one is made after this, whatever state the old one is in."""
        try:
            forget_deliveries(self.task_consumer)
            super().on_connection_error_after_connected(exc)
        except Exception:  # noqa: BLE001 - it is being thrown away, and may be broken in any way
            _log.warning("broker_connection_not_closed", exc_info=True)


def forget_deliveries(task_consumer: Any) -> None:
    """Neither acknowledge nor put back what came over a lost connection: a doorbell is no loss.

    kombu 5.7 would, while it closes and again when a task ends, and fails with an AttributeError over the
    connection that it has already let go of; that ends the worker.
    """
    if task_consumer is None:
        return
    channel = task_consumer.channel
    channel.do_restore = False
    channel.qos.ack = channel.qos.reject = _nothing


def _nothing(*_args: object, **_kwargs: object) -> None:
    """What there is to do for a message of a lost connection."""


def _tell(error: Exception, pause: float) -> None:
    _log.warning("broker_away", extra={"error": repr(error), "again_in_seconds": pause})
