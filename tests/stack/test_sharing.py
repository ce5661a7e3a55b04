"""The programs of a real stack share what supervisord has loaded, where that is wanted."""

from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from app.supervision.control import StackError
from tests.servers import wait_for
from tests.stack.harness import Stack, fresh_stack

pytestmark = pytest.mark.stack

PROGRAMS = ("api-0", "api-1", "beat", "worker")


def shared_kilobytes(pid: int) -> int:
    """What was written before the fork and is still the same memory in several processes."""
    return sum(part.shared_dirty for part in psutil.Process(pid).memory_maps()) // 1024


def words(stack: Stack, name: str) -> str:
    """What ``ps`` shows of a process."""
    return " ".join(psutil.Process(stack.pid(name)).cmdline())


def test_each_program_shares_memory_and_has_a_title_of_its_own(stack: Stack) -> None:
    assert all(shared_kilobytes(stack.pid(name)) > 20_000 for name in PROGRAMS)
    # A fork that is a moment old may have that of its parent still.
    wait_for(lambda: words(stack, "api-0").startswith("api-0: "), what="its title")
    for name in ("worker", "beat"):
        wait_for(lambda: name in words(stack, name), what=f"the title of {name}")  # noqa: B023 - asked at once


def links(pid: int, *, above: int) -> set[str]:
    """What the descriptors of a process above a number are, but for what all processes may open."""
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found |= {str(file.readlink())} if int(file.name) > above else set()
    return {link for link in found if link.startswith(("socket:", "pipe:"))}


def test_no_descriptor_of_supervisord_is_left_in_a_fork(stack: Stack) -> None:
    held = links(stack.members()[0].pid, above=2)
    assert held
    stack.wait_running()
    assert all(held.isdisjoint(links(stack.pid(name), above=2)) for name in PROGRAMS)


def test_what_a_reload_starts_is_forked_too(stack: Stack) -> None:
    before = stack.pid("worker")
    assert stack.supervisorctl("reload").returncode == 0

    def is_replaced() -> bool:
        with suppress(StackError):  # meanwhile it shuts down, and is not there for a moment
            return stack.pid("worker") != before
        return False

    wait_for(is_replaced, what="supervisord to start all anew")
    stack.wait_ready()
    assert all(shared_kilobytes(stack.pid(name)) > 20_000 for name in PROGRAMS)


def test_a_killed_program_comes_back_as_a_fork_again(stack: Stack) -> None:
    before = stack.kill("beat")
    wait_for(lambda: stack.pid("beat") != before, what="its successor")
    assert shared_kilobytes(stack.pid("beat")) > 20_000


def test_without_preloading_each_program_is_executed(fresh_database: str, redis_url: str) -> None:
    with fresh_stack(DATABASE_URL=fresh_database, REDIS_URL=redis_url, PRELOAD="false") as stack:
        stack.start()
        assert "-m app.server" in words(stack, "api-0")
        assert all(shared_kilobytes(stack.pid(name)) < 20_000 for name in ("api-0", "api-1", "beat"))
