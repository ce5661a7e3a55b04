"""The one Celery instance. Importing it opens and reads nothing: its settings load at the first use.

Messages carry nothing that may not be lost: a doorbell names a queue, the work itself is a row.
"""

import logging
import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from celery import Celery, signals
from kombu.entity import Exchange, Queue

from app.core import config, context
from app.core.config import AppSettings
from app.core.logging import setup_logging
from app.core.redis import KEEPALIVE

QUEUES: Final = ("default", "media", "maintenance")
"""Where jobs wait."""

TICKS: Final = "holdfast.ticks"
"""Where beat's triggers wait, apart from jobs: one at a time, and never behind anything."""

DOORBELL: Final = "holdfast.doorbell"
TICK: Final = "holdfast.tick"
PULSE: Final = "holdfast.pulse"

TICK_SECONDS: Final = 5.0
"""Seconds between two triggers of the schedules; slots are rows, so more triggers fire no more of them."""

HEADER: Final = "request_id"

ONLY_BEAT: Final = "ONLY_BEAT"
"""The variable that tells a process that it runs no task."""

_DOORBELL_ALLOWANCE: Final = 60
_BROKER_TIMEOUT: Final = 5.0
_CONNECT_TIMEOUT: Final = 3.0


def direct_queue(name: str) -> Queue:
    """A queue on the nameless exchange, which has no binding that an emptied Redis could forget."""
    nameless = Exchange("", type="direct")  # type: ignore[no-untyped-call]  # kombu has no types
    return Queue(name, exchange=nameless, routing_key=name)  # type: ignore[no-untyped-call]  # the same


def configuration(settings: AppSettings) -> dict[str, Any]:
    """Celery's configuration from ours."""
    celery = settings.celery
    address = settings.broker_url
    return {
        "broker_url": address.replace("unix://", "redis+socket://", 1),
        "broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED} if address.startswith("rediss:") else None,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": _CONNECT_TIMEOUT,
        "broker_transport_options": transport_options(celery.visibility_timeout),
        "result_backend": celery.result_backend.get_secret_value() if celery.result_backend else None,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "enable_utc": True,
        "timezone": "UTC",
        # Beat only sends names, and would hold all that jobs need in memory for nothing.
        "imports": ()
        if os.environ.get(ONLY_BEAT)
        else ("app.workers.tasks", "app.workers.parent", *settings.jobs.modules),
        "task_queues": [direct_queue(name) for name in (*QUEUES, TICKS)],
        "task_default_queue": QUEUES[0],
        "task_create_missing_queues": False,
        "task_track_started": True,
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_time_limit": celery.time_limit,
        "task_soft_time_limit": celery.soft_time_limit,
        # A doorbell runs jobs that have limits of their own, the last begun within seconds of its start.
        "task_annotations": {
            DOORBELL: {
                "time_limit": celery.time_limit + _DOORBELL_ALLOWANCE,
                "soft_time_limit": celery.time_limit + _DOORBELL_ALLOWANCE // 2,
            },
        },
        "worker_concurrency": celery.worker_concurrency,
        "worker_prefetch_multiplier": 1,
        "worker_soft_shutdown_timeout": float(os.environ.get("WORKER_SOFT_SECONDS") or 0),
        # Both would punish jobs and doorbells for a lost broker, and neither needs it.
        "worker_enable_prefetch_count_reduction": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # A busy machine may take longer than the default 4 s to start a child.
        "worker_proc_alive_timeout": 60.0,
        "worker_consumer": "app.workers.consumer:PromptConsumer",
        "beat_scheduler": "app.workers.schedule:TriggerScheduler",
        "beat_max_loop_interval": 1.0,
        "beat_schedule": {
            "tick": {"task": TICK, "schedule": TICK_SECONDS, "options": {"queue": TICKS}},
        },
    }


def transport_options(visibility_timeout: int) -> dict[str, Any]:
    """Options with which a half-open connection is found in seconds instead of minutes."""
    return {
        "visibility_timeout": visibility_timeout,
        "socket_timeout": _BROKER_TIMEOUT,
        "socket_connect_timeout": _CONNECT_TIMEOUT,
        "socket_keepalive": True,
        "socket_keepalive_options": KEEPALIVE,
        "health_check_interval": 5,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.1,
    }


def create_celery(configure: Callable[[], Mapping[str, Any]], *, current: bool = False) -> Celery:
    """A Celery instance that asks for its configuration when it is first needed."""
    app = Celery("holdfast", set_as_current=current)
    app.add_defaults(configure)
    return app


celery_app = create_celery(lambda: configuration(config.settings), current=True)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _log_as_everything_does(**_kwargs: object) -> None:
    setup_logging(config.settings.log_level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


_CHATTY: Final = ("celery.worker.strategy", "celery.app.trace")
"""They tell of every message at INFO, pulses included; our own lines tell of every job."""


@signals.before_task_publish.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _send_request_id(headers: dict[str, Any] | None = None, **_kwargs: object) -> None:
    if headers is not None:
        headers.setdefault(HEADER, context.request_id.get() or context.new_request_id())


@signals.task_prerun.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _take_request_id(task: Any = None, **_kwargs: object) -> None:
    context.request_id.set(context.accept_request_id(task.request.get(HEADER)))


@signals.task_postrun.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _clear_request_id(**_kwargs: object) -> None:
    context.request_id.set(None)
