"""How a container ends: asked to, because a program cannot start, or because of its settings (A13, C2)."""

import json
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from app.core.database import Sessions
from app.services.jobs import enqueue
from tests.accounts import OWNER
from tests.container.conftest import Make
from tests.container.harness import START_SECONDS, Container
from tests.samples import Samples
from tests.servers import DEADLINE, plain, wait_for
from tests.stack.jobs import Nap
from tests.stack.uploads import SlowUpload

pytestmark = pytest.mark.container

NOWHERE = "postgresql://u:p@127.0.0.1:1/x"


@pytest.fixture(scope="module")
def video(samples: Samples) -> Path:
    return samples.path("clip.mp4", seconds=10)


def state_of(container: Container, job_id: str) -> str:
    with psycopg.connect(plain(container.environment["DATABASE_URL"])) as database:
        row = database.execute("SELECT state FROM jobs WHERE id = %s", [job_id]).fetchone()
    assert row
    return str(row[0])


async def test_a13_a_stop_finishes_the_request_and_the_job_goes_on_elsewhere(
    make: Make, sessions: Sessions, video: Path, figures: dict[str, str]
) -> None:
    container = make(SHUTDOWN_TIMEOUT="25")
    container.start()
    container.wait_ready()
    container.let_in()
    async with sessions.begin() as session:
        job = await enqueue(session, "test.nap", Nap(seconds=600), owner_id=OWNER)
        job_id = str(job.id)
    container.wait_job(job_id, "running")
    credential = container.http.headers["Authorization"]
    upload = SlowUpload(container.port, credential, video.read_bytes(), seconds=5)
    upload.start()
    assert upload.begun.wait(DEADLINE)

    code, seconds = container.stop()

    upload.join()
    figures["docker stop with a request of 5 s in flight"] = f"{seconds:.1f} s"
    assert upload.answer.startswith(b"HTTP/1.1 201"), upload.answer[:300]
    # Killed at the end of its grace period it would have ended with 137.
    assert (code, container.state()["OOMKilled"]) == (0, False), container.output()
    assert state_of(container, job_id) in {"queued", "retrying"}, "the job was given back"
    assert container.messages()[-1] == "supervision ends"
    accepted = json.loads(upload.answer.split(b"\r\n\r\n", 1)[1])["job_id"]

    other = make(ROLE="worker")
    other.start()
    wait_for(lambda: state_of(other, job_id) == "running", timeout=START_SECONDS, what="the job to go on")
    # What was uploaded is on the first container's volume: the other one says so instead of trying for ever.
    wait_for(lambda: state_of(other, accepted) != "queued", what="the other job to be taken")
    assert set(other.pids()) == {"worker"}, "the role picks the programs"
    code, _ = other.stop()
    assert code == 0


def test_a_program_that_cannot_start_ends_the_container_with_70(make: Make, figures: dict[str, str]) -> None:
    container = make(ROLE="worker", JOB_MODULES="no_such_module_anywhere")
    container.start()
    assert container.wait_end() == 70
    fatal = next(line for line in container.lines() if "is FATAL" in line["message"])
    assert fatal["level"] == "CRITICAL"
    first = next(line for line in container.lines() if "spawned: 'worker'" in line["message"])
    ended = datetime.fromisoformat(container.state()["FinishedAt"])
    for name, line in (("the first start of a broken", first), ("a FATAL", fatal)):
        seconds = (ended - datetime.fromisoformat(line["timestamp"])).total_seconds()
        figures[f"from {name} program to exit code 70"] = f"{seconds:.1f} s"


def test_a_faulty_configuration_is_one_json_line_a_fault_and_exit_code_78(make: Make) -> None:
    container = make(LOG_LEVEL="loud", SECRET_KEY="changeme", DATABASE_URL="")
    container.start()
    assert container.wait_end() == 78
    faults = {line["variable"]: line["problem"] for line in container.lines()}
    assert set(faults) == {"LOG_LEVEL", "SECRET_KEY", "DATABASE_URL"}
    assert faults["DATABASE_URL"] == "is missing", "nothing is embedded in a container"
    assert "changeme" not in container.output()


def test_a_run_folder_that_cannot_be_written_is_told(make: Make) -> None:
    container = make("--read-only", "--user", "12345:0")
    container.start(confined=False)
    assert container.wait_end() == 1
    (line,) = container.lines()
    assert "/run/holdfast cannot be used" in line["reason"]


def test_a_stop_that_comes_while_it_waits_for_its_database_is_heard(make: Make) -> None:
    container = make(DATABASE_URL=NOWHERE)
    container.start()
    wait_for(lambda: "container_starts" in container.messages(), timeout=START_SECONDS, what="the start")
    code, _ = container.stop()
    assert code == 0
    said = container.messages()
    assert (said[0], said[-1]) == ("container_starts", "stopped_before_start")
    # A slow engine may take longer than it waits in silence.
    assert set(said[1:-1]) <= {"database_away"}


def test_a_database_that_comes_late_is_waited_for_and_readiness_tells_meanwhile(make: Make) -> None:
    container = make(ROLE="api", DATABASE_URL=NOWHERE)
    container.start()
    wait_for(lambda: "database_is_away" in container.messages(), timeout=START_SECONDS, what="the warning")
    wait_for(lambda: container.answers("/health/live") == 200, what="liveness")
    assert container.answers("/health/ready") == 503
    code, _ = container.stop()
    assert code == 0
