"""What the documents say is there."""

import re
from pathlib import Path

import pytest

from app.core.config import PROJECT_ROOT, known_names
from app.core.database import pool_budget
from tests.configuration import make_settings

DOCUMENTS = ("README.md", *sorted(f"docs/{file.name}" for file in (PROJECT_ROOT / "docs").glob("*.md")))
FOR_OPERATORS = ("docs/DEPLOYMENT.md", "docs/OPERATIONS.md")
BESIDE = {
    *("ADMIN_TOKEN", "REQUEST_ID", "STATE", "UID", "HEALTHCHECK"),
    *("BASE", "CA_BUNDLE", "PIP_CONFIG_FILE", "BUILD_NETWORK"),
    *("HOLDFAST_IMAGE", "POSTGRES_IMAGE", "REDIS_IMAGE", "HOLDFAST_PORT"),
    *("HOLDFAST_UID", "HOLDFAST_STOP_GRACE"),
    *("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL", "RUNNING"),
}
"""Variables of scripts and of compose, levels and states."""


@pytest.fixture(scope="module")
def source() -> str:
    return "\n".join(file.read_text("utf-8") for file in (PROJECT_ROOT / "app").rglob("*.py"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    file = PROJECT_ROOT / document
    for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text("utf-8")):
        assert (file.parent / target).exists(), target


def table(title: str) -> list[list[str]]:
    """The rows of the table under a title of the runbook."""
    text = (PROJECT_ROOT / "docs" / "OPERATIONS.md").read_text("utf-8")
    section = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return rows[1:]


def test_v10_every_event_of_the_runbook_is_one_of_the_code(source: str) -> None:
    events = [event for row in table("Log events") for event in re.findall(r"`([^`]+)`", row[0])]
    logged = [event for event in events if re.fullmatch(r"[a-z_]+|The .*|Connections .*", event)]
    assert len(logged) > 30
    assert [event for event in logged if f'"{event}"' not in source] == []


def test_v10_every_warning_of_the_code_is_in_the_runbook(source: str) -> None:
    told = {event for row in table("Log events") for event in re.findall(r"`([^`]+)`", row[0])}
    logged = re.findall(r'log(?:ger)?\.(?:warning|error|critical|exception)\(\s*"([a-z_]+)"', source)
    assert len(set(logged)) > 30
    assert set(logged) - told == set(), "tell operators what it means: docs/OPERATIONS.md, Log events"


def test_v10_every_word_of_health_is_one_of_the_code(source: str) -> None:
    words = {word for row in table("Health") if len(row) == 4 for word in re.findall(r"`([a-z-]+)`", row[1])}
    assert {"unreachable", "timeout", "absent", "draining", "fatal", "read-only"} <= words
    assert [word for word in words if f'"{word}"' not in source] == []


@pytest.mark.parametrize("code", ["0", "1", "70", "78", "137"])
def test_v10_every_exit_code_is_told(code: str) -> None:
    assert code in {row[0] for row in table("Exit codes")}


@pytest.mark.parametrize("document", FOR_OPERATORS)
def test_v10_every_setting_that_is_named_exists(document: str) -> None:
    text = (PROJECT_ROOT / document).read_text("utf-8")
    spans = " ".join(re.findall(r"`([^`\n]+)`", text))
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", spans))
    assert named - BESIDE - known_names() == set()


def test_the_connections_of_a_container_are_those_that_are_counted(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, "postgresql://u@h/d", "redis://h", DATABASE_POOL_SIZE="20")
    text = (PROJECT_ROOT / "docs" / "DEPLOYMENT.md").read_text("utf-8")
    assert f"= {pool_budget(settings)} by default" in text
    assert f"4 such ones want {4 * pool_budget(settings)}" in text


@pytest.mark.parametrize("document", FOR_OPERATORS)
def test_v10_every_file_that_is_named_exists(document: str) -> None:
    text = (PROJECT_ROOT / document).read_text("utf-8")
    named = set(re.findall(r"(?<![\w/.-])((?:deploy|scripts|docs)/[\w./-]+)", text)) - {"deploy/env.prod"}
    assert [name for name in named if not Path(PROJECT_ROOT, name.rstrip("./")).exists()] == []
