"""Compose files brought up for real, with images that are at hand."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.core.config import PROJECT_ROOT
from tests.container.harness import IMAGE, client, docker
from tests.servers import own_port

DEVELOPMENT = os.environ.get("HOLDFAST_DEV_IMAGE", "holdfast:development")
POSTGRES = os.environ.get("POSTGRES_IMAGE", "pgvector/pgvector:pg18")
REDIS = os.environ.get("REDIS_IMAGE", "redis:8")

OLDEST = (2, 24)


def lacks_compose() -> str:
    """Why no compose file can be read here; empty where one can."""
    try:
        version = docker("compose", "version", "--short", timeout=60)
    except (OSError, AssertionError, subprocess.TimeoutExpired):
        version = "0"
    if tuple(map(int, version.lstrip("v").split(".")[:2])) >= OLDEST:
        return ""
    return "docker compose 2.24 or newer is not installed"


def lacks(*images: str) -> str:
    """Why nothing can be brought up here: compose or one of the images is not at hand."""
    for image in images:
        try:
            docker("image", "inspect", image, timeout=60)
        except AssertionError:
            return f"there is no image {image}: pull or build it, or name another one by its variable"
    return lacks_compose()


class Project:
    """What one compose file describes, under a name and on ports of its own.

    Args:
        files: the compose file, and those that change it.
        folder: what paths in it are relative to.
        variables: of the file, over those that every project is given.
    """

    def __init__(self, *files: Path, folder: Path = PROJECT_ROOT, **variables: str) -> None:
        self.name = f"holdfast-{secrets.token_hex(4)}"
        port = own_port()
        self._options = [word for file in files for word in ("--file", str(file))]
        self._options += ["--project-directory", str(folder), "--project-name", self.name]
        self._environment = os.environ | {
            "HOLDFAST_IMAGE": IMAGE,
            "HOLDFAST_DEV_IMAGE": DEVELOPMENT,
            "POSTGRES_IMAGE": POSTGRES,
            "REDIS_IMAGE": REDIS,
            "HOLDFAST_PORT": str(port),
            "POSTGRES_PORT": str(own_port()),
            "REDIS_PORT": str(own_port()),
        } | variables  # fmt: skip
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def run(self, *arguments: str) -> str:
        """Run a command of compose and give what it says.

        Raises:
            AssertionError: it failed; the message has its words and those of all containers.
        """
        done = self._call(*arguments)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr + self._call("logs", "--no-color").stdout)
        return done.stdout

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [client(), "compose", *self._options, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=850,
        )

    def get(self, path: str) -> dict[str, Any]:
        """The JSON of an answer; nothing while nobody answers."""
        try:
            found: dict[str, Any] = self.http.get(path).json()
        except (httpx.TransportError, ValueError):
            return {}
        return found

    def services(self) -> dict[str, dict[str, Any]]:
        """What compose knows of each service's container, ended ones included."""
        rows = [json.loads(line) for line in self.run("ps", "--all", "--format", "json").splitlines()]
        return {row["Service"]: row for row in rows}

    def remove(self) -> None:
        """Leave nothing of it."""
        self.http.close()
        self._call("--profile", "*", "down", "--volumes", "--timeout", "10")


@contextmanager
def brought(project: Project) -> Iterator[Project]:
    """The project; whatever is up of it is removed at the end."""
    try:
        yield project
    finally:
        project.remove()
