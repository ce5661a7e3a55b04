"""One line and one measurement for each request."""

import logging
import os
from json.encoder import encode_basestring as quoted
from time import perf_counter, time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core import context
from app.core.frontend import ASSETS_ROUTE
from app.core.logging import timestamp, write_line
from app.core.masking import mask_text
from app.middleware.event_streams import is_event_stream
from app.services.metrics import RequestMetrics

logger = logging.getLogger(__name__)

PROBES: Final = frozenset(
    {
        "/health",
        "/health/live",
        "/health/ready",
        "/ready",
        "/api/health",
        "/api/ready",
        "/api/v1/health",
        "/api/v1/health/ready",
        "/metrics",
    }
)
"""Asked for every few seconds by machines: logged at DEBUG only."""
LONGEST_PATH: Final = 500
LONGEST_METHOD: Final = 32
"""Characters that are logged of what a client makes up; a line stays under 4 KB with all of them escaped."""
LISTENING: Final = 0.5
"""Seconds; what is over sooner is not worth the question whether it was a stream of events."""
UNMATCHED: Final = "unmatched"
"""The route of unknown paths: one name for all, so that scanners cannot fill the metrics."""


class AccessLog:
    """Logs method, path, route, status, time, size and client; never the query, which may hold secrets."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self.app = app
        self.metrics = metrics
        self._source = (
            f'"message": "request", "logger": "{__name__}", "module": "access_log", "process": {os.getpid()}'
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        status = size = 0
        start: Message = {}
        answered = started

        async def send_counted(message: Message) -> None:
            nonlocal status, size, start, answered
            if message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            elif message["type"] == "http.response.start":
                status, start, answered = message["status"], message, perf_counter()
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        finally:
            seconds = perf_counter() - started
            # How long a client listens says nothing of how fast it was answered.
            listened = seconds > LISTENING and is_event_stream(start)
            self._report(scope, status, size, seconds, answered - started if listened else seconds)

    def _report(self, scope: Scope, status: int, size: int, seconds: float, measured: float) -> None:
        route = route_template(scope)
        self.metrics.observe(scope["method"], route, status, measured)
        quiet = scope["path"] in PROBES or (route == ASSETS_ROUTE and status < 400)
        level = logging.DEBUG if quiet else logging.INFO
        if logger.isEnabledFor(level):
            answered = f'"status": {status}, "duration_ms": {seconds * 1000:.3f}, "bytes": {size}'
            write_line(self._line(scope, logging.getLevelName(level), route, answered))

    def _line(self, scope: Scope, level: str, route: str, answered: str) -> str:
        """The line, put together by hand: at each request, an encoder costs more than all layers do."""
        path, client, user_id = scope["path"], scope.get("client"), context.user_id.get()
        method = scope["method"][:LONGEST_METHOD]
        # A route's own template says where a path came to; only other paths can hold anything.
        if path != route:
            path = mask_text(path[:LONGEST_PATH])
        user = f', "user_id": {quoted(user_id)}' if user_id else ""
        return (
            f'{{"timestamp": "{timestamp(time())}", "level": "{level}", {self._source}, '
            f'"request_id": "{context.request_id.get()}", "method": {quoted(method)}, '
            f'"path": {quoted(path)}, "route": {quoted(route)}, {answered}, '
            f'"client": {quoted(client[0]) if client else "null"}{user}}}'
        )


def route_template(scope: Scope) -> str:
    """The template of the route that answered, with its whole prefix, such as ``/api/v1/jobs/{job_id}``."""
    # FastAPI keeps what an included route became by its inclusion beside the route itself.
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return getattr(route, "path_format", None) or getattr(route, "path", None) or UNMATCHED
