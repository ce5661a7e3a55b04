"""A client follows a job, whatever happens to the process that it is connected to."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select

from app.core.config import load_settings
from app.models.base import new_id
from app.models.job import ENDED, Job, JobEvent, JobState
from app.services.jobs import moves
from app.workers.blocking import Line
from tests.accounts import OWNER
from tests.configuration import NOWHERE
from tests.servers import wait_for
from tests.stack.harness import Stack

pytestmark = pytest.mark.stack

ANEW = httpx.Limits(max_keepalive_connections=0)
"""A stream on a connection of its own: one that is kept may be closed just when it is used again."""

KIND = "test.elsewhere"
"""No worker of the stack knows it: the test alone moves the job."""


class Listener(threading.Thread):
    """What EventSource does: listens, and connects again with the id of the event that it saw last."""

    def __init__(self, stack: Stack, job_id: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[int] = []
        self.states: list[str] = []
        self.connections = self.broken = 0
        self.retry = 0.1
        self._ended = threading.Event()
        self._url = f"{stack.url}/api/v1/jobs/{job_id}/events"
        self._headers = {"Authorization": stack.client.headers["Authorization"]}

    def run(self) -> None:
        with httpx.Client(timeout=60, limits=ANEW) as client:
            while not self._ended.is_set() and not (self.states and self.states[-1] in ENDED):
                try:
                    self._listen(client)
                except httpx.TransportError:
                    self.broken += 1
                self._ended.wait(self.retry)

    def end(self) -> None:
        """Connect no more. A stream that is open ends with its process, or with the stack."""
        self._ended.set()

    def _listen(self, client: httpx.Client) -> None:
        last = {"Last-Event-ID": str(self.seen[-1])} if self.seen else {}
        with client.stream("GET", self._url, headers=self._headers | last) as answer:
            if self._ended.is_set():
                return
            assert answer.status_code == 200, answer.read()
            self.connections += 1
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                fields[name] = value
                if not line:
                    self._take(fields)
                    fields = {}

    def _take(self, fields: dict[str, str]) -> None:
        if "retry" in fields:
            self.retry = int(fields["retry"]) / 1000
        if "id" in fields:
            self.seen.append(int(fields["id"]))
            self.states.append(json.loads(fields["data"])["state"])


class Elsewhere:
    """Another worker, which the test plays: it runs one job of OWNER."""

    def __init__(self, stack: Stack) -> None:
        self._line = Line(load_settings(stack.environment, directory=NOWHERE).database, name="test")
        self.job_id = new_id()
        facts = {"id": self.job_id, "owner_id": OWNER, "kind": KIND, "queue": "default", "args": {}}
        self._do(insert(Job).values(facts).returning(Job.id))
        begun = {"job_id": self.job_id, "state": JobState.QUEUED, "attempt": 0, "progress": 0.0}
        self._do(insert(JobEvent).values(begun).returning(JobEvent.id))
        self._do(moves.claim("default", worker="test", lease=600, allowances={KIND: 1}))

    def report(self) -> None:
        self._do(moves.report(self.job_id, 1, 0.5, "working"))

    def succeed(self) -> None:
        self._do(moves.succeed(self.job_id, 1, None))

    def events(self) -> list[int]:
        rows = self._line.rows(
            select(JobEvent.id).where(JobEvent.job_id == self.job_id).order_by(JobEvent.id)
        )
        return [row.id for row in rows]

    def close(self) -> None:
        self._line.close()

    def _do(self, statement: Any) -> None:
        assert len(self._line.rows(statement)) == 1


@pytest.fixture
def elsewhere(stack: Stack) -> Iterator[Elsewhere]:
    elsewhere = Elsewhere(stack)
    yield elsewhere
    elsewhere.close()


@pytest.fixture
def listener(stack: Stack, elsewhere: Elsewhere) -> Iterator[Listener]:
    listener = Listener(stack, str(elsewhere.job_id))
    listener.start()
    yield listener
    listener.end()


def test_a_client_sees_every_event_once_and_in_order_whatever_dies_or_is_replaced(
    stack: Stack, elsewhere: Elsewhere, listener: Listener
) -> None:
    def is_up_to_date() -> bool:
        return bool(listener.seen) and listener.seen[-1] == elsewhere.events()[-1]

    wait_for(is_up_to_date, what="the state now")
    for name in ("api-0", "api-1"):
        elsewhere.report()
        killed = stack.kill(name)
        elsewhere.report()
        wait_for(lambda: stack.pid(name) != killed, what=f"{name} to be replaced")  # noqa: B023 - asked at once
        wait_for(is_up_to_date, what="what happened meanwhile")
    assert listener.connections > 1, "it lost the process that it listened to"
    stack.wait_ready()
    broken, connections = listener.broken, listener.connections
    with ThreadPoolExecutor(1) as pool:
        rolled = pool.submit(stack.supervisorctl, "rolling", "api")
        while not rolled.done():
            elsewhere.report()
            time.sleep(0.1)
    assert rolled.result().returncode == 0
    # It may have listened to the process replaced last, and be in the pause that it was asked for.
    wait_for(lambda: listener.connections > connections, what="it to connect again")
    assert listener.broken == broken, "a drained stream ends in order"
    elsewhere.succeed()
    listener.join(60)
    assert listener.states[-1] == JobState.SUCCEEDED
    happened = elsewhere.events()
    assert listener.seen == happened[happened.index(listener.seen[0]) :]
