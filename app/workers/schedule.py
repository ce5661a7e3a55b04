"""Beat only triggers: it keeps no schedule file, and any number of beats may run."""

import os
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from redis import RedisError

from app.core import config
from app.core.heartbeat import Heartbeat
from app.services.heartbeats import BEAT, write_heartbeat
from app.services.publisher import Publisher
from app.workers.broker import broker_client


class TriggerScheduler(Scheduler):  # type: ignore[misc]  # Celery has no types
    """Sends triggers over a bounded connection; a lost one does not matter, the next finds the same slots."""

    def setup_schedule(self) -> None:
        """Begin; Celery calls it once, in the process that ticks."""
        super().setup_schedule()
        self._publisher = Publisher(self.app)
        self._heartbeat = Heartbeat.from_environment()
        self._redis = broker_client(config.settings.redis.url.get_secret_value())
        self._broker = broker_client(config.settings.broker_url)
        self._name = f"{os.uname().nodename}/{os.getpid()}"

    @property
    def producer(self) -> None:
        """None: Celery's own would wait for the broker without limit."""
        return

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One cycle. The file is touched whether the broker answered or not: it is not beat's fault."""
        pause = float(super().tick(*args, **kwargs))
        self._heartbeat.beat()
        return pause

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """See to it that a trigger waits or is taken, and tell of it once that is so.

        One that waits says all that another would; without this they would pile up where no worker is.
        """
        queue = entry.options["queue"]
        if not self._waits(queue) and not self._publisher.send(entry.task, entry.args or (), queue):
            return
        try:
            write_heartbeat(self._redis, BEAT, self._name)
        except RedisError:
            return

    def _waits(self, queue: str) -> bool:
        try:
            return bool(self._broker.llen(queue))
        except RedisError:
            # Sending will tell of it.
            return False

    def close(self) -> None:
        """Close the connections."""
        self._publisher.close()
        self._broker.close()
        self._redis.close()
