"""What supervisord is told."""

import sys
from pathlib import Path

import pytest

from app.core.config import AppSettings, load_settings
from app.supervision.environment import environment, link_client_configuration, programs, stop_budget
from app.supervision.state import State
from tests.configuration import NOWHERE, SECRET_KEY


def settings_of(folder: Path, **values: str) -> AppSettings:
    given = {"STATE_DIR": str(folder), "DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h"}
    return load_settings(given | {"SECRET_KEY": SECRET_KEY} | values, directory=NOWHERE)


@pytest.mark.parametrize(
    ("role", "expected"),
    [("all", ("redis", "api", "worker", "beat")), ("api", ("redis", "api")), ("beat", ("redis", "beat"))],
)
def test_the_role_picks_the_programs(tmp_path: Path, role: str, expected: tuple[str, ...]) -> None:
    assert programs(settings_of(tmp_path, ROLE=role), ("redis",)) == expected


@pytest.mark.parametrize("timeout", [10, 15, 30, 120])
def test_the_programs_stop_inside_the_shutdown_timeout(timeout: int) -> None:
    budget = stop_budget(timeout)
    assert budget["API_STOP_SECONDS"] + budget["DATA_STOP_SECONDS"] < timeout
    assert 0 < budget["WORKER_SOFT_SECONDS"] < budget["WORKER_STOP_SECONDS"]


def test_every_value_is_text_and_the_log_goes_where_it_is_wanted(tmp_path: Path) -> None:
    state = State.chosen({"STATE_DIR": str(tmp_path)})
    settings = settings_of(tmp_path, PORT="8123")
    inside = environment(settings, state, ("postgres",), log_file=True)
    assert inside["PORT"] == "8123"
    assert inside["HOLDFAST_PROGRAMS"].split()[0] == "conf.d/postgres.conf"
    assert inside["HOLDFAST_CRITICAL"] == "postgres,api,worker,beat"
    assert inside["HOLDFAST_LOG_FILE"] == str(state.log_file)
    outside = environment(settings, state, (), only=("api",), log_file=False)
    assert (outside["HOLDFAST_LOG_FILE"], outside["HOLDFAST_PROGRAMS"]) == ("", "conf.d/api.conf")
    assert all(isinstance(value, str) for value in inside.values())


def test_the_plain_supervisorctl_is_linked_unless_another_stack_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    (tmp_path / "venv").mkdir()
    first, second = (State.chosen({"STATE_DIR": str(tmp_path / name)}) for name in ("one", "two"))
    for state in (first, second):
        state.prepare()
        state.client_configuration.touch()
    link = link_client_configuration(first)
    assert link
    assert link.resolve() == first.client_configuration
    assert link_client_configuration(first) == link
    first.control_socket.touch()
    assert link_client_configuration(second) is None
    first.control_socket.unlink()
    assert link_client_configuration(second)
    assert link.resolve() == second.client_configuration
    link.unlink()
    link.touch()
    assert link_client_configuration(first) is None
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert link_client_configuration(first) is None
