"""The keeper without a database, and how it kills."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy.exc import OperationalError

from app.workers import keeper as module
from app.workers.keeper import Keeper
from app.workers.watch import Claim, Progress, Reason, Watch
from tests.servers import DEADLINE, wait_for

AWAY = OperationalError("SELECT 1", {}, Exception("away"))


class FakeLine:
    """Answers as it is told to; a real server cannot be told to fail at one statement."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.closed = False

    def rows(self, _statement: Any) -> list[Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A keeper, and a watch over a task that lasts."""

    def __init__(self, *answers: Any, held: float = 60.0, soft: float = 60.0, hard: float = 60.0) -> None:
        self.killed = threading.Event()
        self.line = FakeLine(*answers)
        self.keeper = Keeper(
            self.line,  # type: ignore[arg-type]  # all that a keeper asks of a line
            lease=600.0,
            cancel_grace=0.0,
            on_proof=lambda: None,
            kill=self.killed.set,
        )
        self.task = asyncio.get_running_loop().create_task(asyncio.sleep(600))
        now = time.monotonic()
        claim = Claim(
            id=uuid.uuid4(),
            kind="test.wait",
            args={},
            owner_id=uuid.uuid4(),
            attempt=1,
            failures=1,
            request_id=None,
            claimed=now,
            soft_limit=soft,
            hard_limit=hard,
        )
        self.watch = Watch(claim, self.task, Progress(), held)
        self.watch.renew_at = now + 60

    def look(self) -> Reason | None:
        self.keeper.look_after(self.watch)
        return self.watch.reason


async def test_a_database_that_is_away_for_less_than_the_lease_is_borne() -> None:
    assert Bench(AWAY).look() is None


async def test_a_lease_that_could_not_be_renewed_is_lost_on_time() -> None:
    bench = Bench(AWAY, held=-1.0)
    assert bench.look() is Reason.LOST
    with pytest.raises(asyncio.CancelledError):
        await bench.task


async def test_a_lease_that_has_ended_is_lost_before_the_database_is_asked() -> None:
    """To ask may take as long as a silent network is waited for."""
    assert Bench([(False,)], held=-1.0).look() is Reason.LOST


async def test_a_job_out_of_time_is_killed_before_the_database_is_asked() -> None:
    bench = Bench([(False,)], soft=-1.0, hard=0.0)
    bench.look()
    assert bench.killed.is_set()
    assert bench.line.asked == 1  # to settle the row


async def test_progress_that_cannot_be_written_does_not_cost_the_lease() -> None:
    bench = Bench([(False,)], AWAY)
    bench.watch.renew_at = 0.0
    held = bench.watch.held_until
    bench.watch.progress.report(0.5, "halfway")
    assert bench.look() is None
    assert bench.line.asked == 2
    assert bench.watch.held_until > held


async def test_progress_is_written_no_more_often_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROGRESS_PERIOD", 600.0)
    bench = Bench([(False,)])
    for _ in range(2):
        bench.watch.progress.report(0.5, "halfway")
        bench.look()
    assert bench.line.asked == 3, "two looks, and one event"
    bench.watch.report_at = 0.0
    bench.look()
    assert bench.line.asked == 5, "what was held back is not lost"


async def test_progress_of_a_lost_job_is_not_written() -> None:
    bench = Bench([])
    bench.watch.progress.report(0.5, "halfway")
    bench.look()
    assert bench.line.asked == 1


async def test_a_hard_limit_below_the_soft_one_interrupts() -> None:
    assert Bench([(False,)], soft=60.0, hard=0.0).look() is Reason.TIME_LIMIT


async def test_a_stop_does_not_wait_for_the_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_GRACE", 0.0)
    bench = Bench([(False,)], soft=0.0)
    assert bench.look() is Reason.TIME_LIMIT
    assert not bench.killed.is_set()
    bench.keeper.stop()
    bench.look()
    assert bench.killed.is_set()


async def test_a_cancellation_does_not_wait_for_the_hard_limit() -> None:
    bench = Bench([(True,)], soft=0.0)
    assert bench.look() is Reason.TIME_LIMIT
    assert bench.killed.is_set()


async def test_a_lost_lease_overrules_a_cancellation() -> None:
    bench = Bench([(True,)], [], [])
    bench.keeper._cancel_grace = 600.0
    assert bench.look() is Reason.CANCELLED
    assert bench.look() is Reason.LOST


async def test_a_reason_is_not_replaced_by_a_lesser_one() -> None:
    bench = Bench([(False,)])
    bench.watch.interrupt(Reason.CANCELLED)
    bench.watch.interrupt(Reason.SHUTDOWN)
    assert bench.watch.reason is Reason.CANCELLED


async def test_a_row_that_cannot_be_settled_is_not_abandoned() -> None:
    """Cancelled, but the database is away when the row should say so: the process stays until it can."""
    bench = Bench([(True,)], AWAY)
    bench.look()
    assert not bench.killed.is_set()


async def test_a_worker_that_stops_ends_without_a_database_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_GRACE", 0.0)
    bench = Bench(AWAY)
    bench.keeper.stop()
    assert bench.look() is Reason.SHUTDOWN
    assert bench.killed.is_set()


async def test_a_job_that_completed_meanwhile_is_not_killed() -> None:
    bench = Bench([(True,)], [])
    bench.keeper._cancel_grace = 0.0
    bench.look()
    assert not bench.killed.is_set()


async def test_nothing_interrupts_the_writing_down_of_an_end() -> None:
    bench = Bench([], [])
    bench.watch.finish()
    assert bench.look() is None
    assert not bench.killed.is_set()


async def test_an_end_that_cannot_be_written_down_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FINISH_LIMIT", 0.0)
    bench = Bench([(False,)])
    bench.watch.finish()
    bench.look()
    assert bench.killed.is_set()


async def test_a_fault_does_not_end_the_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.01)
    bench = Bench([(False,)])
    looks: list[int] = []
    seen: Callable[[Watch], None] = bench.keeper.look_after

    def faulty(watch: Watch) -> None:
        looks.append(1)
        if len(looks) == 1:
            raise RuntimeError("unforeseen")
        seen(watch)

    monkeypatch.setattr(bench.keeper, "look_after", faulty)
    bench.keeper.hold(bench.watch)
    await asyncio.to_thread(wait_for, lambda: len(looks) > 2, what="further looks")
    bench.keeper.release()
    bench.keeper.close()


SCRIPT = """
import subprocess, sys
from app.workers.keeper import kill_this_process
tool = subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"],
                        stdout=subprocess.PIPE, start_new_session=True)
tool.stdout.readline()
print(tool.pid, flush=True)
sys.stdin.readline()
kill_this_process()
"""


def test_a_killed_child_takes_its_tools_along() -> None:
    """Those in sessions of their own too."""
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root)},
    )
    assert child.stdout is not None
    tool = psutil.Process(int(child.stdout.readline()))
    child.communicate("now\n", timeout=DEADLINE)
    assert child.returncode == -signal.SIGKILL

    def gone() -> bool:
        try:
            return not tool.is_running() or tool.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:  # between the two
            return True

    wait_for(gone, what="the end of the tool")
