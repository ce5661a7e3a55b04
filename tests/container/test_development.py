"""The compose file for development, brought up on a copy of this checkout (P6)."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app import __version__
from app.core.config import PROJECT_ROOT
from tests.container.compose import DEVELOPMENT, POSTGRES, REDIS, Project, brought, lacks
from tests.container.harness import among, docker
from tests.servers import wait_for

pytestmark = pytest.mark.container

SHARE = (
    *("tests/core", "tests/services/jobs", "tests/cli/test_storage.py", "tests/supervision/embedded"),
    *(f"tests/services/media/test_{name}.py" for name in ("probe", "process", "unreadable", "names")),
    "tests/stack/test_first_use.py",
)
"""Tests of the settings, of the database, of a Redis that is killed, of the command, of embedded servers, of
the image's own media tools, of what writes into a checkout elsewhere, and of the whole stack."""

LEFT_OUT = (".git", ".venv", ".env", ".holdfast", ".*_cache", "__pycache__", "node_modules", "secrets")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source that may be changed, and that the containers' account can read."""
    folder = tmp_path_factory.mktemp("development") / "checkout"
    shutil.copytree(PROJECT_ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return folder


@pytest.fixture(scope="module")
def project(checkout: Path) -> Iterator[Project]:
    if reason := lacks(DEVELOPMENT, POSTGRES, REDIS):
        pytest.skip(reason)
    with brought(Project(checkout / "docker-compose.dev.yml", folder=checkout)) as project:
        project.run("up", "--detach", "--wait")
        yield project


def programs(project: Project, service: str) -> set[int]:
    """What the watcher has started in a service's container, as the host numbers the processes."""
    pid = int(docker("inspect", "--format", "{{.State.Pid}}", project.services()[service]["ID"]))
    children = psutil.Process(pid).children(recursive=True)
    return {child.pid for child in among(children, lambda child: "watchfiles" not in child.cmdline())}


def is_whole(project: Project) -> bool:
    """Whether the API answers, the worker consumes and beat beats."""
    return project.get("/health").get("status") == "healthy"


def test_p6_api_worker_and_beat_start_again_when_the_source_changes(project: Project, checkout: Path) -> None:
    wait_for(lambda: is_whole(project), what="every part's health")
    before = {service: programs(project, service) for service in ("worker", "beat")}
    assert all(before.values())

    source = checkout / "app" / "__init__.py"
    source.write_text(source.read_text().replace(__version__, f"{__version__}+changed"))

    wait_for(
        lambda: project.get("/api/v1/info").get("version") == f"{__version__}+changed",
        every=1,
        what="the API's changed answer",
    )
    old = set().union(*before.values())
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in old), what="the end of what ran")
    wait_for(lambda: all(programs(project, service) for service in before), what="new ones")
    wait_for(lambda: is_whole(project), what="every part's health")


def test_p6_tests_pass_inside_the_container(project: Project) -> None:
    said = project.run("run", "--rm", "--no-TTY", "tests", *SHARE)
    assert " passed" in said
