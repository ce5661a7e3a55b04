"""``python -m app.server``: how it starts, and how it says that it cannot."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from app.core.config import AppSettings, ConfigurationError, Fault, load_settings
from app.server import __main__ as main
from tests.configuration import SECRET_KEY
from tests.servers import DEADLINE, own_port

ROOT = Path(__file__).resolve().parents[1]
AWAY = {"DATABASE_URL": "postgresql://user:word@127.0.0.1:9/away", "REDIS_URL": "redis://127.0.0.1:9"}


@pytest.fixture
def port() -> int:
    return own_port()


def variables(folder: Path, port: int) -> dict[str, str]:
    own = {"STATE_DIR": str(folder), "HOST": "127.0.0.1", "PORT": str(port), "APP_ENV": "testing"}
    return AWAY | own | {"SECRET_KEY": SECRET_KEY}


def command(folder: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.server"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_it_serves_the_api_alone_on_host_and_port_and_ends_with_0(tmp_path: Path, port: int) -> None:
    """L10: what `make api` runs. Without a database it serves all the same; readiness tells."""
    process = command(tmp_path, variables(tmp_path, port))
    end = time.monotonic() + DEADLINE
    while True:
        assert time.monotonic() < end
        assert process.poll() is None
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
            break
        except httpx.TransportError:
            time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert errors == b""
    assert all(isinstance(json.loads(line), dict) for line in output.splitlines())


def test_a_wrong_configuration_is_78_and_one_line_a_fault(tmp_path: Path, port: int) -> None:
    process = command(tmp_path, variables(tmp_path, port) | {"PORT": "many", "API_PROCESSES": "0"})
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 78
    assert output == b""
    assert [line.split(b":")[1].strip() for line in errors.splitlines()] == [b"PORT", b"API_PROCESSES"]


def test_a_taken_port_is_1_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = command(tmp_path, variables(tmp_path, port))
        output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert errors == b""
    (line,) = [json.loads(line) for line in output.splitlines()]
    assert line["message"] == "The API cannot listen"
    assert str(port) in line["binds"][0]


@pytest.fixture
def settings(tmp_path: Path, port: int) -> AppSettings:
    return load_settings(variables(tmp_path, port), directory=tmp_path)


def fail(error: Exception) -> None:
    raise error


def failing(error: Exception) -> Starlette:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        fail(error)
        yield

    return Starlette(lifespan=lifespan)


def test_an_application_that_cannot_start_is_1(
    settings: AppSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(main, "create_app", lambda *_args, **_kw: failing(RuntimeError("broken")))
    assert main.run(settings) == 1
    assert "RuntimeError: broken" in caplog.text


def test_a_fault_of_the_configuration_found_at_the_start_is_78(
    settings: AppSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ConfigurationError([Fault("DATABASE_POOL_SIZE", "is too large", "less")])
    monkeypatch.setattr(main, "create_app", lambda *_args, **_kw: failing(error))
    monkeypatch.setattr(main, "load_settings", lambda: settings)
    monkeypatch.setattr(main, "setup_logging", lambda _level: None)
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 78


def test_alone_it_does_not_drain(settings: AppSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_BIND", raising=False)
    where = main.listening(settings)
    assert where.binds == (f"127.0.0.1:{settings.server.port}",)
    assert where.drain_delay == 0


def test_supervised_it_drains_and_leaves_time_for_the_end(
    settings: AppSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_BIND", "fd://0,unix:/run/api-0.sock")
    monkeypatch.setenv("API_STOP_SECONDS", "21")
    where = main.listening(settings)
    assert where.binds == ("fd://0", "unix:/run/api-0.sock")
    assert where.drain_delay == settings.server.drain_delay == 1
    assert where.grace == 17


def test_reload_runs_this_module_under_watchfiles(monkeypatch: pytest.MonkeyPatch) -> None:
    class Replaced(Exception):
        pass

    def execute(path: str, argv: list[str]) -> None:
        raise Replaced(path, argv)

    monkeypatch.setattr(os, "execv", execute)
    with pytest.raises(Replaced) as replaced:
        main.main(["--reload"])
    path, argv = replaced.value.args
    assert path == argv[0] == sys.executable
    assert argv[-2:] == [f"{sys.executable} -m app.server", str(ROOT / "app")]


def test_reload_without_watchfiles_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SystemExit, match="needs the package watchfiles"):
        main.main(["--reload"])
