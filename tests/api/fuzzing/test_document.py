"""The whole OpenAPI document against a real server, by schemathesis: what it declares is what happens."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.core.config import AppSettings
from tests.accounts import ADMIN, OWNER
from tests.configuration import PATIENT, unmeasured
from tests.servers import DEADLINE, own_port, wait_for
from tests.workers.processes import ROOT, environment

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def variables(settings: AppSettings) -> dict[str, str]:
    given = environment(settings, PORT=str(own_port()), METRICS_TOKEN="scrape-me", LOG_LEVEL="WARNING")
    # Jobs wait for ever here, and a stream of their events would last as long as it may.
    return PATIENT | given | {"JOB_EVENTS_SECONDS": "0.2"}


@pytest.fixture
def server(variables: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The API alone: nothing does the jobs that it accepts."""
    address = f"http://127.0.0.1:{variables['PORT']}"
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.server"], env=variables, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        wait_for(lambda: process.poll() is not None or _is_ready(address), what="the server")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        finally:
            process.kill()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.timeout(400)
@pytest.mark.parametrize("account", [OWNER, ADMIN], ids=["user", "admin"])
def test_what_the_document_declares_is_what_happens(
    server: str, variables: dict[str, str], tmp_path: Path, account: uuid.UUID
) -> None:
    hooks = {"SCHEMATHESIS_HOOKS": "tests.api.fuzzing.hooks", "FUZZED_ACCOUNT": str(account)}
    program = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [program, "--config-file", CONFIGURATION, "run", f"{server}/openapi.json", "--no-color"],
        env=unmeasured() | variables | hooks, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    log = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]
    assert [line for line in log if line["level"] == "ERROR"] == []
