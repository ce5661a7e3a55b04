"""The programs of a real stack share what supervisord has loaded, where that is wanted."""

import re
from pathlib import Path

import pytest

from tests.stack.harness import Stack, fresh_stack

pytestmark = pytest.mark.stack

PROGRAMS = ("api-0", "api-1", "beat", "worker")


def shared_kilobytes(pid: int) -> int:
    """What was written before the fork and is still the same memory in several processes."""
    found = re.search(
        r"^Shared_Dirty: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE
    )
    assert found
    return int(found[1])


def words(stack: Stack, name: str) -> str:
    """What ``ps`` shows of a process."""
    return Path(f"/proc/{stack.pid(name)}/cmdline").read_text().replace("\0", " ")


def test_each_program_shares_memory_and_has_a_title_of_its_own(stack: Stack) -> None:
    assert all(shared_kilobytes(stack.pid(name)) > 20_000 for name in PROGRAMS)
    assert words(stack, "api-0").startswith("api-0: ")
    assert "worker" in words(stack, "worker")
    assert "beat" in words(stack, "beat")


def test_a_killed_program_comes_back_as_a_fork_again(stack: Stack) -> None:
    stack.kill("beat")
    stack.wait_ready()
    assert shared_kilobytes(stack.pid("beat")) > 20_000


def test_without_preloading_each_program_is_executed(fresh_database: str, redis_url: str) -> None:
    with fresh_stack(DATABASE_URL=fresh_database, REDIS_URL=redis_url, PRELOAD="false") as stack:
        stack.start()
        assert "-m app.server" in words(stack, "api-0")
        assert all(shared_kilobytes(stack.pid(name)) < 20_000 for name in ("api-0", "api-1", "beat"))
