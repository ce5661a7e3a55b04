"""What Prometheus reads: counts and times of requests, added up over all processes."""

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which the library learns, at its import, where the processes put their numbers."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LABELS: Final = ("method", "route", "status")


class RequestMetrics:
    """Requests by method, route template and status; the histogram's own count is how many there were."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds from request to answer.",
            LABELS,
            registry=registry,
            buckets=BUCKETS,
        )
        self._known: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; the route is a template, never a path, so that the series stay few."""
        key = (method, route, status)
        known = self._known.get(key)
        if known is None:
            # A method is any word that a client makes up.
            labels = (method if method in METHODS else "other", route, str(status))
            known = self._seconds.labels(*labels)
            if method in METHODS:
                self._known[key] = known
        known.observe(seconds)


class Metrics:
    """The numbers of one process, and the sum of all where they share a folder."""

    def __init__(self) -> None:
        self._folder = os.environ.get(SHARED_FOLDER)
        if self._folder:
            Path(self._folder).mkdir(parents=True, exist_ok=True)
        self._own = CollectorRegistry()
        self.requests = RequestMetrics(self._own)

    def exposition(self) -> bytes:
        """All numbers in Prometheus's text format."""
        if not self._folder:
            return generate_latest(self._own)
        together = CollectorRegistry()
        MultiProcessCollector(together, self._folder)  # type: ignore[no-untyped-call]  # the library has no types here
        return generate_latest(together)
