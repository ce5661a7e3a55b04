"""Kubernetes manifests: valid by the published schemas, hardened, and true of the settings."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from app.cli.container import DATABASE_SECONDS
from app.core.config import PROJECT_ROOT, Role, known_names
from app.core.schema import LOCK_SECONDS
from tests.deploy.reading import DEPLOY, HEALTHCHECK, documents

FOLDER = DEPLOY / "kubernetes"
VERSIONS = ("1.33", kubernetes_validate.latest_version())
"""The oldest that is spoken of, and the newest whose schema is published."""
MANIFESTS = sorted(
    file.relative_to(FOLDER).as_posix()
    for file in FOLDER.glob("*/*.yaml")
    if file.name != "kustomization.yaml"
)
VARIANTS = ("roles", "all-in-one", "migration", "autoscaling")


def resources(*folders: str) -> list[dict[str, Any]]:
    """What the files of these folders hold."""
    return [
        document
        for file in MANIFESTS
        if file.split("/")[0] in folders
        for document in documents(FOLDER / file)
    ]


def pods() -> list[Any]:
    """Every template of a pod, by its file's name."""
    return [
        pytest.param(document, id=document["metadata"]["name"])
        for document in resources("roles", "all-in-one", "migration")
        if document["kind"] in {"Deployment", "Job"}
    ]


def settings() -> dict[str, str]:
    """The ConfigMap."""
    (found,) = [document["data"] for document in resources("common") if document["kind"] == "ConfigMap"]
    told: dict[str, str] = found
    return told


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", MANIFESTS)
def test_every_manifest_is_valid_by_the_published_schema(file: str, version: str) -> None:
    for document in documents(FOLDER / file):
        kubernetes_validate.validate(document, version, strict=True)


def test_a_wrong_manifest_would_be_found() -> None:
    document = resources("roles")[0]
    document["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)


@pytest.mark.parametrize("variant", ["common", *VARIANTS])
def test_every_file_belongs_to_a_kustomization(variant: str) -> None:
    (kustomization,) = documents(FOLDER / variant / "kustomization.yaml")
    named = {name for name in kustomization["resources"] if name != "../common"}
    there = {Path(file).name for file in MANIFESTS if file.startswith(f"{variant}/")}
    assert named == there - {"secret.example.yaml"}


@pytest.mark.parametrize("variant", ["roles", "all-in-one", "migration"])
def test_kustomize_builds_every_variant(variant: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "kustomize", str(FOLDER / variant)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


@pytest.mark.parametrize("workload", pods())
def test_every_pod_is_restricted(workload: dict[str, Any]) -> None:
    """The profile `restricted` of the pod security standards, and a root filesystem that nobody writes."""
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"].keys() == {"memory"}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("workload", pods())
def test_every_volume_is_mounted_and_every_mount_is_a_volume(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    mounted = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    assert {"/run", "/tmp"} <= set(mounted.values())
    assert mounted["secrets"] == settings()["SECRETS_DIR"]


@pytest.mark.parametrize("workload", [pod for pod in pods() if pod.id != "holdfast-migrate"])
def test_a_pod_is_asked_and_has_time_to_stop(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    waits = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod["terminationGracePeriodSeconds"] > waits + int(settings()["SHUTDOWN_TIMEOUT"])
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == HEALTHCHECK
    serves = {variable["name"]: variable["value"] for variable in container["env"]}["ROLE"] in {"all", "api"}
    assert serves == ("readinessProbe" in container) == ("lifecycle" in container)
    if serves:
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        assert container["ports"] == [{"name": "http", "containerPort": 8000}]


@pytest.mark.parametrize("workload", [pod for pod in pods() if pod.id != "holdfast-migrate"])
def test_a_pod_that_waits_for_a_migration_is_not_killed(workload: dict[str, Any]) -> None:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    budget = probe["periodSeconds"] * probe["failureThreshold"]
    assert budget > DATABASE_SECONDS + LOCK_SECONDS + 45
    assert workload["spec"]["progressDeadlineSeconds"] > budget


@pytest.mark.parametrize("file", [file for file in MANIFESTS if file.startswith(("roles/", "all-in-one/"))])
def test_a_comment_speaks_of_prestop_where_there_is_one(file: str) -> None:
    text = (FOLDER / file).read_text("utf-8")
    assert ("# preStop" in text) == ("preStop:" in text)


def test_there_is_a_deployment_for_each_role_and_one_for_all() -> None:
    roles = {
        document["metadata"]["labels"]["app.kubernetes.io/component"]: document
        for document in resources("roles", "all-in-one")
        if document["kind"] == "Deployment"
    }
    assert set(roles) == {role.value for role in Role}
    for role, document in roles.items():
        template = document["spec"]["template"]
        assert {"name": "ROLE", "value": role} in template["spec"]["containers"][0]["env"]
        assert document["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert document["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_service_finds_those_who_serve_and_nobody_else() -> None:
    (service,) = [document for document in resources("common") if document["kind"] == "Service"]
    found = {
        document["metadata"]["name"]
        for document in resources("roles", "all-in-one", "migration")
        if document["kind"] in {"Deployment", "Job"}
        and service["spec"]["selector"].items() <= document["spec"]["template"]["metadata"]["labels"].items()
    }
    assert found == {"holdfast-api", "holdfast"}


def test_a_budget_keeps_some_of_each_scaled_role() -> None:
    budgets = [
        document["spec"]
        for document in resources("roles", "all-in-one")
        if document["kind"] == "PodDisruptionBudget"
    ]
    roles = {budget["selector"]["matchLabels"]["app.kubernetes.io/component"] for budget in budgets}
    assert roles == {"api", "worker", "all"}
    assert all(budget["maxUnavailable"] == 1 for budget in budgets)


def test_every_key_of_the_settings_and_secrets_is_a_setting() -> None:
    (secret,) = [document["stringData"] for document in resources("common") if document["kind"] == "Secret"]
    beside = {name for value in secret.values() for name in re.findall(r"/etc/holdfast/secrets/(\w+)", value)}
    assert beside <= secret.keys()
    assert settings().keys() | {name.upper() for name in secret.keys() - beside} <= known_names()
    assert all("CHANGEME" in value for value in secret.values())


def test_the_migration_runs_the_command() -> None:
    (job,) = resources("migration")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["holdfast", "migrate", "--quiet"]
    assert PROJECT_ROOT.joinpath("app/cli/database.py").read_text().count('"--quiet"') == 1
