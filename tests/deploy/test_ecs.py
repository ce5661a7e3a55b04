"""The ECS task definition: valid by the service's own model, hardened, and true of the settings (V8)."""

import json
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from app.core.config import known_names
from tests.deploy.reading import DEPLOY, HEALTHCHECK

MOST_SECONDS = 120
"""That Fargate waits for a container to stop."""


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((DEPLOY / "ecs" / "task-definition.json").read_text("utf-8"))
    return told


def faults(definition: dict[str, Any]) -> str:
    model = botocore.session.get_session().get_service_model("ecs")
    shape = model.operation_model("RegisterTaskDefinition").input_shape
    report: str = ParamValidator().validate(definition, shape).generate_report()
    return report


def container(definition: dict[str, Any]) -> dict[str, Any]:
    (found,) = [told for told in definition["containerDefinitions"] if told["name"] == "holdfast"]
    told: dict[str, Any] = found
    return told


def test_v8_it_is_what_register_task_definition_takes(definition: dict[str, Any]) -> None:
    assert faults(definition) == ""


def test_v8_a_wrong_one_would_be_found(definition: dict[str, Any]) -> None:
    assert "stopTimeout" in faults({**definition, "containerDefinitions": [{"stopTimeout": "45"}]})


def test_v8_it_has_time_to_stop_and_tells_whether_it_lives(definition: dict[str, Any]) -> None:
    told = container(definition)
    environment = {variable["name"]: variable["value"] for variable in told["environment"]}
    assert int(environment["SHUTDOWN_TIMEOUT"]) < told["stopTimeout"] <= MOST_SECONDS
    assert told["healthCheck"] == {
        "command": ["CMD", *HEALTHCHECK], "interval": 30, "timeout": 10, "retries": 3, "startPeriod": 300,
    }  # fmt: skip
    assert told["logConfiguration"]["options"]["mode"] == "non-blocking"


def test_v8_secrets_come_from_the_manager(definition: dict[str, Any]) -> None:
    told = container(definition)
    secrets = {secret["name"] for secret in told["secrets"]}
    environment = {variable["name"] for variable in told["environment"]}
    assert secrets == {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "METRICS_TOKEN"}
    assert all(secret["valueFrom"].startswith("arn:aws:secretsmanager:") for secret in told["secrets"])
    assert not secrets & environment
    assert secrets | environment <= known_names()


def test_v8_every_container_is_hardened_and_every_volume_is_there(definition: dict[str, Any]) -> None:
    volumes = {volume["name"] for volume in definition["volumes"]}
    for told in definition["containerDefinitions"]:
        assert told["readonlyRootFilesystem"] is True
        assert told["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["sourceVolume"] for mount in told["mountPoints"]} <= volumes
    assert container(definition)["user"] == "10001:0"
    assert {mount["containerPath"] for mount in container(definition)["mountPoints"]} == {
        "/run",
        "/tmp",
        "/workspace",
    }
