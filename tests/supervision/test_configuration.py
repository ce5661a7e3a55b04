"""supervisord reads this project's configuration, and the configuration explains itself."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from tests.supervision.stack import CONFIGURATION

PROGRAMS = sorted((CONFIGURATION.parent / "conf.d").glob("*.conf"))
VARIABLES = {
    "API_PROCESSES": "2",
    "API_STOP_SECONDS": "21",
    "DATA_STOP_SECONDS": "5",
    "POSTGRES_START_SECONDS": "6",
    "FATAL_GRACE": "3",
    "HOLDFAST_CRITICAL": "api",
    "HOLDFAST_LOG_FILE": "",
    "HOLDFAST_PROGRAMS": "conf.d/*.conf",
    "HOLDFAST_PYTHON": "/usr/bin/python3",
    "HOST": "127.0.0.1",
    "PORT": "8123",
    "WATCHDOG_TIMEOUT": "30",
    "HOLDFAST_PRELOAD": "",
    "WORKER_STOP_SECONDS": "20",
}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Each process's configuration, by its name."""
    for name, value in (VARIABLES | {"RUN_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    options = ServerOptions()
    options.realize(["-c", str(CONFIGURATION)])
    assert options.parse_warnings == []
    groups = options.process_group_configs
    return {process.name: process for group in groups for process in group.process_configs} | {
        "groups": {group.name: group for group in groups}
    }


def test_there_is_no_network_server(programs: dict[str, Any]) -> None:
    assert "inet_http_server" not in CONFIGURATION.read_text()


def test_the_api_has_its_processes_on_one_socket_and_each_its_own(
    programs: dict[str, Any], tmp_path: Path
) -> None:
    """C1."""
    assert programs["groups"]["api"].socket_config.url == "tcp://127.0.0.1:8123"
    for name in ("api-0", "api-1"):
        assert programs[name].environment == {
            "API_BIND": f"fd://0,unix:{tmp_path}/{name}.sock",
            "HEARTBEAT_FILE": f"{tmp_path}/heartbeats/{name}",
        }


def test_the_data_servers_start_before_and_stop_after_the_others(programs: dict[str, Any]) -> None:
    priorities = {name: group.priority for name, group in programs["groups"].items()}
    assert priorities["postgres"] == priorities["redis"] < priorities["api"]
    assert priorities["api"] == priorities["worker"] == priorities["beat"]


def test_the_worker_shuts_down_softly_and_its_children_go_with_it(programs: dict[str, Any]) -> None:
    worker = programs["worker"]
    assert (worker.stopsignal, worker.stopwaitsecs) == (3, 20)
    assert worker.killasgroup
    assert not worker.stopasgroup


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda path: path.stem)
def test_each_program_speaks_through_the_plugin(file: Path) -> None:
    text = file.read_text()
    for channel in ("stdout", "stderr"):
        assert f"{channel}_logfile=NONE\n" in text
        assert f"{channel}_events_enabled=true\n" in text


@pytest.mark.parametrize("file", [CONFIGURATION, *PROGRAMS], ids=lambda path: path.stem)
def test_every_value_that_is_not_the_default_has_its_reason_above(file: Path) -> None:
    """What is named here says itself, or shares the reason with its neighbour."""
    plain = {
        "command",
        "process_name",
        "socket",
        "file",
        "serverurl",
        "files",
        "run_dir",
        "log_file",
        "critical",
    }
    plain |= {"fatal_grace", "preload", "watchdog_timeout", "stderr_logfile", "stderr_events_enabled"}
    lines = file.read_text().splitlines()
    unexplained = [
        line
        for above, line in pairwise(lines)
        if (match := re.match(r"([a-z_]+)=", line)) and match[1] not in plain and not above.startswith(";")
    ]
    assert unexplained == []
