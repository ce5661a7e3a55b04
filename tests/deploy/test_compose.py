"""Compose files: valid by the schema, hardened, and true of the programs that they run (A20, V4, P6)."""

import configparser
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.core.config import PROJECT_ROOT, known_names, load_settings
from tests.container.compose import lacks_compose
from tests.container.harness import client
from tests.deploy.reading import compose, default, seconds
from tests.servers import wait_for

FILES = ("docker-compose.yml", "docker-compose.dev.yml", "docker-compose.test.yml")
OURS = ("app", "worker")


def test_v4_every_file_is_valid_by_the_schema_of_compose() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *FILES]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", FILES)
def test_v4_compose_itself_takes_every_file(file: str) -> None:
    if reason := lacks_compose():
        pytest.skip(reason)
    command = [client(), "compose", "--file", file, "--profile", "*", "config", "--quiet"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose(name)["services"]
    return found


@pytest.mark.parametrize("service", ["app", "worker", "postgres", "redis"])
def test_a20_every_service_is_hardened_and_bounded(service: str) -> None:
    told = services("docker-compose.yml")[service]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert set(told["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert told["user"] not in {"root", "0", "0:0"}
    assert "privileged" not in told
    assert told["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("service", OURS)
def test_a20_a_stop_is_waited_for_longer_than_it_takes(service: str) -> None:
    told = services("docker-compose.yml")[service]
    assert seconds(default(told["stop_grace_period"])) > int(default(told["environment"]["SHUTDOWN_TIMEOUT"]))


@pytest.mark.parametrize("service", OURS)
def test_a20_how_long_a_stop_takes_is_chosen_by_variables(service: str) -> None:
    told = services("docker-compose.yml")[service]
    assert told["environment"]["SHUTDOWN_TIMEOUT"].startswith("${SHUTDOWN_TIMEOUT:-")
    assert told["stop_grace_period"].startswith("${")


def test_a20_the_application_waits_for_data_servers_that_answer() -> None:
    told = services("docker-compose.yml")
    for service in OURS:
        assert {name: wait["condition"] for name, wait in told[service]["depends_on"].items()} == {
            "postgres": "service_healthy",
            "redis": "service_healthy",
        }
    assert all("healthcheck" in told[name] for name in ("postgres", "redis"))


def test_a20_data_servers_are_reached_by_nobody_else() -> None:
    file = compose("docker-compose.yml")
    assert file["networks"]["data"]["internal"] is True
    for name in ("postgres", "redis"):
        assert file["services"][name]["networks"] == ["data"]
        assert "ports" not in file["services"][name]
    assert file["services"]["app"]["ports"] == ["${HOLDFAST_BIND:-127.0.0.1}:${HOLDFAST_PORT:-8000}:8000"]


def test_a12_media_and_rows_outlive_containers() -> None:
    file = compose("docker-compose.yml")
    assert set(file["volumes"]) == {"workspace", "postgres"}
    assert "workspace:/workspace" in file["services"]["app"]["volumes"]


@pytest.mark.parametrize("file", FILES)
def test_images_of_all_services_are_chosen_by_variables(file: str) -> None:
    for name, told in services(file).items():
        variable = {"postgres": "POSTGRES_IMAGE", "redis": "REDIS_IMAGE"}.get(name, "HOLDFAST_")
        assert told["image"].startswith("${" + variable), name


@pytest.mark.parametrize("file", FILES)
def test_every_variable_of_the_application_is_a_setting(file: str) -> None:
    beside = {"ONLY_BEAT", "HEARTBEAT_FILE", "WATCHFILES_FORCE_POLLING"}
    beside |= {"TEST_DATABASE_URL", "TEST_REDIS_URL", "HOME", "HYPOTHESIS_STORAGE_DIRECTORY"}
    for name, told in services(file).items():
        if name not in {"postgres", "redis"}:
            assert set(told.get("environment", {})) <= known_names() | beside, name


def test_v4_the_basic_profile_needs_no_data_servers_and_the_full_one_brings_them() -> None:
    told = services("docker-compose.test.yml")
    assert {name for name, service in told.items() if "profiles" not in service} == {"app"}
    assert {name for name, service in told.items() if service.get("profiles") == ["full"]} == {
        "ready",
        "postgres",
        "redis",
    }
    assert all(wait["required"] is False for wait in told["app"]["depends_on"].values())


def test_p7_secrets_are_files_that_the_settings_are_read_from(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = [str(PROJECT_ROOT / "scripts" / "make-secrets.sh"), str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    file = compose("docker-compose.yml")
    assert {path.name for path in folder.iterdir()} == set(file["secrets"])
    assert folder.stat().st_mode & 0o077 == 0
    mounted = set(file["services"]["app"]["secrets"])
    settings = load_settings(
        {"SECRETS_DIR": str(folder), "APP_ENV": "production", "STATE_DIR": str(tmp_path)}, directory=tmp_path
    )
    assert mounted == {"database_url", "redis_url", "secret_key", "metrics_token"}
    for name in mounted:
        assert (folder / name).read_text().split("@")[-1] in _all_secrets(settings)


def _all_secrets(settings: Any) -> str:
    return " ".join(
        str(secret.get_secret_value())
        for secret in (
            settings.database.url,
            settings.redis.url,
            settings.auth.secret_key,
            settings.server.metrics_token,
        )
    )


def test_p7_secrets_that_are_there_stay(tmp_path: Path) -> None:
    script = [str(PROJECT_ROOT / "scripts" / "make-secrets.sh"), str(tmp_path / "secrets")]
    subprocess.run(script, check=True, capture_output=True)
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    subprocess.run(script, check=True, capture_output=True)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before


@pytest.mark.parametrize("program", ["worker", "beat"])
def test_p6_development_runs_what_the_supervisor_runs(program: str) -> None:
    told = services("docker-compose.dev.yml")[program]["command"]
    assert told[:4] == ["python3", "-m", "watchfiles", "--target-type=command"]
    assert told[-1] == "/app/app"
    configuration = configparser.RawConfigParser()
    configuration.read(PROJECT_ROOT / "supervisor" / "conf.d" / f"{program}.conf")
    supervised = shlex.split(configuration[f"program:{program}"]["command"])[1:]
    # names and files differ: there is one stack in a container, and no supervisor that counts heartbeats
    kept = [part for part in supervised if not part.startswith(("--name=", "--schedule="))]
    given = [part for part in shlex.split(told[4])[1:] if not part.startswith("--schedule=")]
    assert given == kept


def test_p6_the_source_is_mounted_and_the_api_reloads() -> None:
    told = services("docker-compose.dev.yml")
    assert told["api"]["command"] == ["holdfast", "api", "--reload"]
    assert told["api"]["build"]["target"] == "development"
    for name in ("api", "worker", "beat", "tests"):
        assert ".:/app:ro" in told[name]["volumes"]


def test_p6_a_program_starts_again_when_its_source_changes(tmp_path: Path) -> None:
    """What development does to worker and beat, done to a program that tells of its starts."""
    code, starts = tmp_path / "code", tmp_path / "starts"
    code.mkdir()
    starts.touch()
    watched = code / "module.py"
    watched.write_text("")
    program = f"{sys.executable} -c \"import time; open('{starts}', 'a').write('x'); time.sleep(600)\""
    command = services("docker-compose.dev.yml")["worker"]["command"]
    watch = [sys.executable, *command[1:4], program, str(code)]
    environment = os.environ | {"WATCHFILES_FORCE_POLLING": "true"}
    with subprocess.Popen(
        watch, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            wait_for(lambda: len(starts.read_text()) >= 1)
            changes = 0

            def changed() -> bool:
                # Until it is seen: the watcher may begin to look after the program has started.
                nonlocal changes
                changes += 1
                watched.write_text(f"# {changes}")
                return len(starts.read_text()) >= 2

            wait_for(changed)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
