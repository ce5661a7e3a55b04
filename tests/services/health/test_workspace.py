"""Whether media can be stored, where the disk itself does not answer."""

import asyncio
import threading
from pathlib import Path

import pytest

from app.schemas.health import HealthStatus
from app.services.health import checks
from app.services.health.checks import ask
from app.services.health.workspace import WorkspaceQuestion
from app.services.workspace import State, Workspace, WorkspaceStatus
from tests.servers import DEADLINE


class Stuck(Workspace):
    """A workspace on a disk that does not answer until it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.looks = 0
        self.is_looking = threading.Event()
        self.may_answer = threading.Event()

    def check(self) -> WorkspaceStatus:
        self.looks += 1
        self.is_looking.set()
        self.may_answer.wait(DEADLINE)
        return WorkspaceStatus(State.WRITABLE, 1)


async def test_a_disk_that_does_not_answer_costs_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "PATIENCE", 0.01)
    stuck = Stuck(tmp_path)
    question = WorkspaceQuestion(stuck)
    for _ in range(3):
        assert (await ask(question)).reason == "timeout"
    await asyncio.to_thread(stuck.is_looking.wait, DEADLINE)
    stuck.may_answer.set()
    monkeypatch.setattr(checks, "PATIENCE", DEADLINE)
    assert (await ask(question)).status is HealthStatus.HEALTHY
    assert stuck.looks == 1


async def test_an_error_of_the_system_is_an_answer() -> None:
    async def question() -> checks.Check:
        await asyncio.sleep(0)
        raise OSError("no route")

    check = await ask(question)
    assert (check.status, check.reason, check.error) == (
        HealthStatus.UNHEALTHY,
        "unreachable",
        "OSError: no route",
    )
