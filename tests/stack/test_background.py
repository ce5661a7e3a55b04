"""``up`` in the background, and the commands that look after it."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from app.supervision import control
from tests.servers import own_port, wait_for
from tests.stack.harness import Stack, fresh_stack
from tests.supervision.stack import is_alive

pytestmark = pytest.mark.stack


@pytest.fixture
def small_stack(fresh_database: str, redis_url: str) -> Iterator[Stack]:
    """A stack of the API alone, on servers of ours: they turn the embedded ones off."""
    with fresh_stack(ROLE="api", DATABASE_URL=fresh_database, REDIS_URL=redis_url) as stack:
        yield stack
        control.stop(stack.state, timeout=120)


def holdfast(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        stack.command(*arguments),
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_c1_up_status_logs_restart_and_down(small_stack: Stack) -> None:
    up = holdfast(small_stack, "up")
    assert up.returncode == 0, up.stderr
    assert "is ready" in up.stdout
    assert small_stack.url in up.stdout
    names = {info["name"] for info in control.process_info(small_stack.state)}
    assert names == {"api-0", "api-1"}, "the role picks the programs, and addresses turn servers off"
    before = {small_stack.pid(name) for name in names}

    again = json.loads(holdfast(small_stack, "up", "--json").stdout)
    assert again["url"] == small_stack.url

    restart = holdfast(small_stack, "restart")
    assert restart.returncode == 0, restart.stderr
    assert before.isdisjoint({small_stack.pid(name) for name in names})

    for line in holdfast(small_stack, "logs", "--no-follow", "--json", "-n", "5").stdout.splitlines():
        assert isinstance(json.loads(line), dict)
    assert "api_started" in holdfast(small_stack, "logs", "--no-follow", "-n", "1000").stdout

    members = small_stack.members()
    assert "has stopped" in holdfast(small_stack, "down").stdout
    assert [process for process in members if is_alive(process.pid)] == []


def test_up_of_a_stack_that_cannot_get_ready_says_why(redis_url: str) -> None:
    with fresh_stack(ROLE="api", DATABASE_URL="postgresql://u:p@127.0.0.1:1/x", REDIS_URL=redis_url) as stack:
        stack.environment["DATABASE_CONNECT_TIMEOUT"] = "1"
        up = holdfast(stack, "up")
        assert control.running_pid(stack.state) is None, "what did not get ready is not left behind"
    assert up.returncode == 1
    assert "PostgreSQL did not answer" in up.stderr


def test_pools_that_the_server_has_no_room_for_are_refused(fresh_database: str, redis_url: str) -> None:
    with fresh_stack(
        ROLE="api", DATABASE_URL=fresh_database, REDIS_URL=redis_url, DATABASE_POOL_SIZE="400"
    ) as stack:
        up = holdfast(stack, "up")
    assert up.returncode == 1
    assert "lower DATABASE_POOL_SIZE" in up.stderr


def test_up_in_the_foreground_shows_readable_lines_until_it_is_told_to_stop(
    fresh_database: str, redis_url: str
) -> None:
    with fresh_stack(ROLE="api", DATABASE_URL=fresh_database, REDIS_URL=redis_url) as stack:
        with stack.log.open("wb") as log:
            stack.process = subprocess.Popen(
                stack.command("up", "--foreground"), env=stack.environment, stdout=log, stderr=log
            )
        stack.wait_ready()
        assert stack.end() == 0
        text = stack.log.read_text()
    assert "| api_started" in text
    assert not [line for line in text.splitlines() if line.startswith("{")]


def test_l10_the_api_alone_answers_and_stops_with_the_servers_it_started() -> None:
    with fresh_stack() as stack:
        with stack.log.open("wb") as log:
            stack.process = subprocess.Popen(
                stack.command("api"), env=stack.environment, stdout=log, stderr=log, start_new_session=True
            )
        stack.wait_ready()
        assert {info["name"] for info in control.process_info(stack.state)} == {"postgres", "redis"}
        stack.end()
        assert control.running_pid(stack.state) is None


def test_logs_follow_what_comes_and_a_file_that_was_turned_over(small_stack: Stack) -> None:
    log = small_stack.state.log_file
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"message": "first"}) + "\n")
    with subprocess.Popen(
        small_stack.command("logs", "-n", "1"), env=small_stack.environment, stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout
        try:
            assert "| first" in follower.stdout.readline()
            with log.open("a") as stream:
                stream.write(json.dumps({"message": "second"}) + "\n")
            assert "| second" in follower.stdout.readline()
            log.replace(log.with_name("older"))
            log.write_text(json.dumps({"message": "third"}) + "\n")
            assert "| third" in follower.stdout.readline()
        finally:
            follower.terminate()


def test_up_does_not_take_another_stack_of_this_state_folder_for_its_own(small_stack: Stack) -> None:
    assert holdfast(small_stack, "up").returncode == 0
    elsewhere = subprocess.run(
        small_stack.command("up"),
        env=small_stack.environment | {"PORT": str(own_port())},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert elsewhere.returncode == 1
    assert "runs at another port" in elsewhere.stderr
    fuller = subprocess.run(
        small_stack.command("up"),
        env=small_stack.environment | {"ROLE": "all"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert fuller.returncode == 1
    assert "without beat, worker" in fuller.stderr


def test_restart_of_a_single_process_and_of_one_that_does_not_start(
    fresh_database: str, redis_url: str
) -> None:
    with fresh_stack(
        ROLE="api", API_PROCESSES="1", DATABASE_URL=fresh_database, REDIS_URL=redis_url
    ) as stack:
        assert holdfast(stack, "up").returncode == 0
        before = stack.pid("api-0")
        restart = holdfast(stack, "restart")
        assert (restart.returncode, "api: restarted" in restart.stderr) == (0, True), restart.stderr
        assert stack.pid("api-0") != before
        (stack.state.secrets / "JOB_MODULES").write_text("no_such_module_anywhere")
        broken = holdfast(stack, "restart")
        control.stop(stack.state, timeout=120)
    assert broken.returncode == 1
    assert "api did not start again" in broken.stderr or "not running" in broken.stderr


def noted(stack: Stack) -> set[tuple[str, int]]:
    """The processes that supervisord has written down as started, with their numbers."""
    table = stack.state.run / "processes.json"
    rows = json.loads(table.read_text())["processes"] if table.exists() else []
    return {(row["name"], row["pid"]) for row in rows if row["pid"]}


def test_what_a_killed_supervisord_left_is_ended_by_down_and_by_up(small_stack: Stack) -> None:
    for command, words in (("down", "what it left has been ended: api-0, api-1"), ("up", "is ready")):
        assert holdfast(small_stack, "up").returncode == 0
        started = {(name, small_stack.pid(name)) for name in ("api-0", "api-1")}
        wait_for(lambda: noted(small_stack) == started, what="the table of processes")  # noqa: B023 - asked at once
        orphans = small_stack.members()
        orphans[0].kill()
        done = holdfast(small_stack, command)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        assert [process for process in orphans if is_alive(process.pid)] == []
