"""``supervisorctl`` of the development shell, which starts what is not there (C3)."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.cli.supervisorctl import NOT_RUNNING, is_ending
from app.supervision import control
from tests.servers import wait_for
from tests.stack.harness import Stack, fresh_stack
from tests.supervision.stack import is_alive

pytestmark = pytest.mark.stack


@pytest.fixture
def small_stack(fresh_database: str, redis_url: str) -> Iterator[Stack]:
    with fresh_stack(ROLE="api", DATABASE_URL=fresh_database, REDIS_URL=redis_url) as stack:
        yield stack
        wait_for(lambda: not is_ending(stack.state), what="the end of a shutdown")
        control.stop(stack.state, timeout=120)


def supervisorctl(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli.supervisorctl", *arguments]
    return subprocess.run(
        command, env=stack.environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_c3_start_all_starts_the_stack_also_after_shutdown(small_stack: Stack) -> None:
    there = sorted(small_stack.state.folder.rglob("*"))
    before = supervisorctl(small_stack, "status")
    assert (before.returncode, before.stdout) == (NOT_RUNNING, "")
    assert "supervisorctl start all" in before.stderr
    assert sorted(small_stack.state.folder.rglob("*")) == there, "looking starts and writes nothing"

    for _ in range(2):
        started = supervisorctl(small_stack, "start", "all")
        assert started.returncode == 0, started.stderr
        assert small_stack.url in started.stdout
        # It has waited for one process that is ready; the other may be about to run.
        small_stack.wait_running()
        status = supervisorctl(small_stack, "status")
        assert (status.returncode, status.stdout.count("RUNNING")) == (0, 2)
        # Answered at once; what comes next waits for the end.
        assert "Shut down" in supervisorctl(small_stack, "shutdown").stdout


def test_what_runs_is_left_to_supervisor_s_own(small_stack: Stack) -> None:
    supervisorctl(small_stack, "start", "all")
    pid = control.running_pid(small_stack.state)
    assert supervisorctl(small_stack, "start", "all").stdout == "", "all run"
    assert "stopped" in supervisorctl(small_stack, "stop", "api:api-0").stdout
    assert supervisorctl(small_stack, "status").returncode == 3
    assert supervisorctl(small_stack, "start", "all").returncode == 0
    assert supervisorctl(small_stack, "pid").stdout.strip() == str(pid)
    assert "supervisorctl" in supervisorctl(small_stack, "--help").stdout


def test_down_waits_for_a_stack_that_is_shutting_down(small_stack: Stack) -> None:
    supervisorctl(small_stack, "start", "all")
    members = small_stack.members()
    supervisorctl(small_stack, "shutdown")
    done = subprocess.run(
        small_stack.command("down"), env=small_stack.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    # supervisord gives its socket up shortly before its end, and is not seen to run from then on.
    wait_for(lambda: not any(is_alive(process.pid) for process in members), what="the end of all")
