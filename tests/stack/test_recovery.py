"""Whatever dies comes back, and what was accepted is held."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import httpx
import psutil
import pytest

from tests.servers import wait_for
from tests.stack.harness import Stack, patient

pytestmark = pytest.mark.stack


def answers(stack: Stack, path: str, status: int) -> bool:
    return patient(lambda: stack.client.get(path).status_code == status)()


def misses_redis_alone(stack: Stack) -> bool:
    """Whether it is not ready for want of Redis and of nothing else, and healthy enough to answer 200."""
    ready, health = stack.client.get("/health/ready"), stack.client.get("/health")
    told = (ready.status_code, ready.json()["reasons"], health.status_code)
    return told == (503, ["redis"], 200) and health.json()["checks"]["redis"]["status"] != "healthy"


@pytest.mark.parametrize("name", ["api-0", "api-1", "worker", "beat", "redis", "postgres"])
def test_kill_9_of_any_process_loses_nothing_that_was_accepted(stack: Stack, video: Path, name: str) -> None:
    uploaded = stack.upload(video)
    killed = stack.kill(name)
    wait_for(lambda: stack.pid(name) != killed, what=f"{name} to be replaced")
    stack.wait_ready()
    job = stack.wait_job(uploaded["job_id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job
    again = stack.upload(video)
    job = stack.wait_job(again["job_id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job


def test_kill_9_of_a_worker_child_loses_nothing(stack: Stack, video: Path) -> None:
    worker = psutil.Process(stack.pid("worker"))
    wait_for(worker.children, what="the children of the worker")
    children = worker.children()
    uploaded = [stack.upload(video) for _ in range(3)]
    for child in children:
        with suppress(psutil.NoSuchProcess):  # one that looked at something, and has ended
            child.kill()
    for accepted in uploaded:
        job = stack.wait_job(accepted["job_id"], "succeeded", "failed")
        assert job["state"] == "succeeded", job


def test_rolling_api_under_keep_alive_load_fails_no_request(stack: Stack) -> None:
    before = {stack.pid("api-0"), stack.pid("api-1")}
    over = Event()
    served: list[int] = []

    def load() -> list[str]:
        failures = []
        with httpx.Client(base_url=stack.url, timeout=60) as client:
            while not over.is_set():
                try:
                    answer = client.get("/api/v1/ping")
                except httpx.TransportError as error:
                    failures.append(repr(error))
                    continue
                served.append(answer.status_code)
                if answer.status_code != 200:
                    failures.append(answer.text)
        return failures

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(load) for _ in range(4)]
        try:
            rolled = stack.supervisorctl("rolling", "api")
            assert rolled.returncode == 0, rolled.stdout + rolled.stderr
            so_far = len(served)
            wait_for(lambda: len(served) > so_far + 100, what="answers of the new processes")
        finally:
            over.set()
        failures = [failure for client in clients for failure in client.result()]
    assert before.isdisjoint({stack.pid("api-0"), stack.pid("api-1")})
    assert failures == []


def test_without_redis_uploads_are_accepted_and_run_after_its_return(stack: Stack, video: Path) -> None:
    stack.supervisorctl("stop", "redis")
    try:
        uploaded = stack.upload(video)
        wait_for(lambda: misses_redis_alone(stack), what="readiness and health to notice")
    finally:
        stack.supervisorctl("start", "redis")
    job = stack.wait_job(uploaded["job_id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job


def test_without_postgresql_the_answer_is_503_in_the_error_form(stack: Stack) -> None:
    stack.supervisorctl("stop", "postgres")
    try:
        answer = stack.client.get("/api/v1/jobs")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "service_unavailable"
        assert "Retry-After" in answer.headers
        wait_for(lambda: answers(stack, "/health", 503), what="health to notice")
        assert stack.client.get("/health/live").status_code == 200
    finally:
        stack.supervisorctl("start", "postgres")
    wait_for(lambda: answers(stack, "/api/v1/jobs", 200), what="the database to be back")


def test_up_again_finds_the_stack_and_status_and_logs_tell_of_it(stack: Stack) -> None:
    def holdfast(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            env=stack.environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    stack.wait_running()
    up = holdfast("up", "--json")
    assert up.returncode == 0, up.stderr
    assert stack.url in up.stdout
    assert "worker" in holdfast("status").stdout
    assert holdfast("status", "--json").stdout.count('"RUNNING"') == 6
    assert "already up" in holdfast("up", "--foreground").stderr
    assert "no log at" in holdfast("logs").stderr
    assert "The schema is at" in holdfast("migrate").stdout
    doctor = holdfast("doctor")
    assert "version 18" in doctor.stdout or "PostgreSQL: version" in doctor.stdout, doctor.stdout
