"""The compose files that operators get, brought up for real (A20, V4)."""

import subprocess
from pathlib import Path

import pytest

from app.core.config import PROJECT_ROOT
from tests.container.compose import POSTGRES, REDIS, Project, brought, lacks
from tests.container.harness import IMAGE
from tests.servers import wait_for

pytestmark = pytest.mark.container

FILE = PROJECT_ROOT / "docker-compose.yml"
OF_TESTS = PROJECT_ROOT / "docker-compose.test.yml"
IMPATIENT = "services: {app: {healthcheck: {interval: 1s, start_period: 240s}}}\n"
"""Half a minute until the first probe is for operation."""


@pytest.fixture(autouse=True)
def at_hand() -> None:
    if reason := lacks(IMAGE, POSTGRES, REDIS):
        pytest.skip(reason)


def test_a20_the_stack_turns_healthy_is_ready_and_stops_in_order(tmp_path: Path) -> None:
    secrets, impatient = tmp_path / "secrets", tmp_path / "impatient.yml"
    subprocess.run([PROJECT_ROOT / "scripts/make-secrets.sh", secrets], check=True, capture_output=True)
    impatient.write_text(IMPATIENT)
    with brought(Project(FILE, impatient, HOLDFAST_SECRETS=str(secrets))) as project:
        project.run("up", "--detach", "--wait")
        told = project.services()
        assert {name: row["Health"] for name, row in told.items()} == dict.fromkeys(
            ("app", "postgres", "redis"), "healthy"
        )
        # Healthy is who lives; the first questions to the servers may take longer than readiness waits.
        wait_for(lambda: project.get("/health/ready").get("status") == "ready", what="readiness")
        wait_for(lambda: project.get("/health").get("status") == "healthy", what="every part's health")
        project.run("stop")
        assert {name: row["ExitCode"] for name, row in project.services().items()} == dict.fromkeys(told, 0)


def test_v4_the_basic_profile_lives_without_data_services() -> None:
    with brought(Project(OF_TESTS)) as project:
        project.run("up", "--detach", "--wait")
        assert set(project.services()) == {"app"}
        assert project.get("/health/live")


def test_v4_the_full_profile_is_ready() -> None:
    with brought(Project(OF_TESTS)) as project:
        said = project.run(
            "--profile", "full", "up", "--exit-code-from", "ready", "--abort-on-container-exit", "--no-color"
        )
        assert '"status":"ready"' in said
