"""The ``holdfast`` command, as a person runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import __version__
from app.core.commands import command as how
from tests.configuration import SECRET_KEY
from tests.servers import own_port, state_folder

ADDRESSES = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}
SOUND = ADDRESSES | {"SECRET_KEY": SECRET_KEY}


@pytest.fixture
def folder() -> Iterator[Path]:
    with state_folder() as folder:
        yield folder


def holdfast(folder: Path, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    environment = kept | {"STATE_DIR": str(folder), "PORT": str(own_port()), "COLUMNS": "200"} | values
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_it_tells_its_version_and_its_commands(folder: Path) -> None:
    assert holdfast(folder, "--version").stdout.strip() == __version__
    commands = holdfast(folder, "--help").stdout
    for command in (
        "up",
        "down",
        "status",
        "restart",
        "logs",
        "migrate",
        "create-admin",
        "doctor",
        "openapi",
    ):
        assert command in commands


@pytest.mark.parametrize("command", ["up", "migrate", "openapi"])
def test_a_faulty_configuration_ends_every_command_with_78_and_a_line_a_fault(
    folder: Path, command: str
) -> None:
    done = holdfast(folder, command, LOG_LEVEL="loud", API_PROCESSES="0", **SOUND)
    assert done.returncode == 78
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["API_PROCESSES", "LOG_LEVEL"]


def test_doctor_prints_every_fault_at_once_each_with_its_fix(folder: Path) -> None:
    done = holdfast(folder, "doctor", LOG_LEVEL="loud", BACKEND_API_PROCESES="3", SMTP_HOST="h", **SOUND)
    assert done.returncode == 78
    for name in ("LOG_LEVEL", "BACKEND_API_PROCESES", "EMAIL_FROM"):
        assert f"fault  {name}" in done.stdout
    assert "did you mean BACKEND_API_PROCESSES?" in done.stdout
    assert done.stdout.count("fix:") == 3


def test_doctor_tells_servers_that_are_away_and_open_secrets(folder: Path) -> None:
    secret = folder / "secrets" / "SECRET_KEY"
    secret.write_text("k" * 40)
    secret.chmod(0o644)
    done = holdfast(folder, "doctor", "--json", **ADDRESSES)
    assert done.returncode == 1
    faults = {finding["subject"]: finding for finding in json.loads(done.stdout) if not finding["ok"]}
    assert set(faults) == {str(secret), "PostgreSQL", "Redis"}
    assert faults[str(secret)]["fix"] == f"chmod 600 {secret}"


def test_doctor_finds_nothing_wrong_before_the_first_start(folder: Path) -> None:
    done = holdfast(folder, "doctor")
    assert done.returncode == 0, done.stdout
    assert "embedded postgres" in done.stdout


def test_v2_doctor_tells_which_front_end_is_served_and_which_cannot_be(folder: Path) -> None:
    values = SOUND | {"ENABLE_STATIC_FILES": "true", "FRONTEND_DIR": str(folder)}
    done = holdfast(folder, "doctor", **values)
    assert done.returncode == 78
    assert "fault  FRONTEND_DIR: holds no index.html" in done.stdout
    (folder / "index.html").touch()
    assert f"front end: {folder} is served" in holdfast(folder, "doctor", **values).stdout


def test_openapi_prints_or_writes_the_document(folder: Path) -> None:
    printed = json.loads(holdfast(folder, "openapi", **SOUND).stdout)
    assert printed["openapi"].startswith("3.")
    assert holdfast(folder, "openapi", str(folder / "api.json"), **SOUND).returncode == 0
    assert json.loads((folder / "api.json").read_text()) == printed


@pytest.mark.parametrize("command", ["status", "restart"])
def test_a_stack_that_does_not_run_is_told(folder: Path, command: str) -> None:
    done = holdfast(folder, command)
    assert done.returncode == 1
    assert f"not running: start it with {how('up')}" in done.stderr


def test_down_of_nothing_is_no_fault(folder: Path) -> None:
    done = holdfast(folder, "down")
    assert (done.returncode, done.stdout.strip()) == (0, "The stack was not running.")


def test_a_taken_port_is_named_with_the_program_that_holds_it(folder: Path) -> None:
    code = (
        "import socket, sys\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        port = holder.stdout.readline().strip()
        done = holdfast(folder, "up", PORT=port, **SOUND)
        doctor = holdfast(folder, "doctor", PORT=port, **SOUND)
        holder.communicate()
    assert done.returncode == 1
    assert f"port {port} is taken by process {holder.pid}" in done.stderr
    assert f"is taken by process {holder.pid}" in doctor.stdout


def test_a_state_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    file = folder / "file"
    file.touch()
    done = holdfast(folder, "up", STATE_DIR=str(file / "state"), **SOUND)
    assert done.returncode == 1
    assert "choose another with STATE_DIR" in done.stderr
