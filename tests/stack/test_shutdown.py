"""The end: asked for, or because a program cannot start (A13, C2)."""

import json
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

import tests.stack.jobs
from app.celery_app import QUEUES, configuration, create_celery
from app.core.config import load_settings
from app.core.database import Sessions
from app.services.jobs import enqueue
from app.workers.parent import pulse_queue
from tests.accounts import OWNER
from tests.configuration import NOWHERE
from tests.servers import plain, wait_for
from tests.stack.harness import Stack, fresh_stack, patient
from tests.stack.uploads import SlowUpload
from tests.supervision.stack import is_alive

pytestmark = pytest.mark.stack

MODULE = tests.stack.jobs.__name__


async def accept_nap(sessions: Sessions, seconds: float) -> str:
    """A job that the stack finds by its sweep."""
    async with sessions.begin() as session:
        accepted = await enqueue(session, "test.nap", tests.stack.jobs.Nap(seconds=seconds), owner_id=OWNER)
        return str(accepted.id)


@pytest.fixture
def one_of_ours(fresh_database: str, redis_url: str) -> Iterator[Stack]:
    """A stack on servers of ours, which outlive it."""
    with fresh_stack(
        DATABASE_URL=fresh_database,
        REDIS_URL=redis_url,
        JOB_MODULES=MODULE,
        SHUTDOWN_TIMEOUT="20",
        BODY_TIMEOUT="300",
    ) as stack:
        yield stack


async def test_a13_c2_a_stop_finishes_the_request_gives_the_job_back_and_ends_with_0(
    one_of_ours: Stack, sessions: Sessions, video: Path
) -> None:
    stack = one_of_ours
    stack.start()
    job_id = await accept_nap(sessions, seconds=600)
    stack.wait_job(job_id, "running")
    upload = SlowUpload(stack.port, stack.client.headers["Authorization"], video.read_bytes())
    upload.start()
    workspace = stack.state.folder / "workspace"
    wait_for(lambda: any(path.is_file() for path in workspace.rglob("*")), what="the upload to arrive")
    members = stack.members()

    assert stack.process is not None
    stack.process.terminate()
    wait_for(lambda: not stack.is_ready(), what="the stop to begin")
    upload.go_on.set()
    code = stack.end()

    upload.join()
    assert upload.answer.startswith(b"HTTP/1.1 201"), upload.answer[:300]
    assert code == 0
    assert [process for process in members if is_alive(process.pid)] == []
    with psycopg.connect(plain(stack.environment["DATABASE_URL"])) as database:
        row = database.execute("SELECT state FROM jobs WHERE id = %s", [job_id]).fetchone()
    assert row
    assert row[0] in {"queued", "retrying"}, "the job was given back"
    accepted = json.loads(upload.answer.split(b"\r\n\r\n", 1)[1])

    stack.start()
    job = stack.wait_job(job_id, "running")
    assert job["attempt"] == 2
    job = stack.wait_job(accepted["job_id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job
    assert all(isinstance(line, dict) for line in stack.lines())


def test_a_program_that_cannot_start_ends_the_stack_with_70_after_readiness_told(
    fresh_database: str, redis_url: str
) -> None:
    with fresh_stack(DATABASE_URL=fresh_database, REDIS_URL=redis_url, FATAL_GRACE="30") as stack:
        stack.start()
        # From now on the worker cannot start: its settings are at fault, as after a bad deploy of a secret.
        (stack.state.secrets / "JOB_MODULES").write_text("no_such_module_anywhere")
        stack.kill("worker")

        def tells() -> bool:
            answer = stack.client.get("/health/ready")
            return answer.status_code == 503 and "fatal" in answer.json()["reasons"]

        wait_for(patient(tells), what="readiness to tell of the fatal program")
        assert stack.process is not None
        assert stack.process.wait(120) == 70


def test_a_worker_that_lives_but_consumes_nothing_is_restarted(fresh_database: str, redis_url: str) -> None:
    with fresh_stack(
        DATABASE_URL=fresh_database, REDIS_URL=redis_url, WATCHDOG_TIMEOUT="10", JOB_MODULES=MODULE
    ) as stack:

        @patient
        def consumes() -> bool:
            return bool(stack.client.get("/health").json()["checks"]["celery"]["status"] == "healthy")

        stack.start()
        before = stack.pid("worker")
        wait_for(consumes, what="the worker's first heartbeat")
        forget_all_queues(stack)
        wait_for(lambda: stack.pid("worker") != before, what="the watchdog to replace the worker")
        wait_for(consumes, what="its successor's heartbeat")

        def is_told() -> bool:
            return any("worker" in str(line) and "cycle" in line["message"] for line in stack.lines())

        wait_for(is_told, what="the watchdog's line")


def forget_all_queues(stack: Stack) -> None:
    """Tell the worker to cancel its consumers, as a faulty reconnect would leave it."""
    settings = load_settings(stack.environment, directory=NOWHERE)
    celery = create_celery(lambda: configuration(settings))
    node = f"worker-{stack.port}@{socket.gethostname()}"
    for queue in (*QUEUES, pulse_queue(node)):
        cancel = partial(celery.control.cancel_consumer, queue, reply=True, timeout=5, destination=[node])
        wait_for(cancel, what=f"the worker to forget {queue}")
    celery.close()
