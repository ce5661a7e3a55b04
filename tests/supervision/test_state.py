"""The state folder."""

import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.supervision.state import State, free_port, is_free


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State.chosen({"STATE_DIR": str(tmp_path / "state")})
    state.prepare()
    return state


def addresses(state: State) -> dict[str, str]:
    return {file.name: file.read_text() for file in state.secrets.iterdir()}


def test_generated_secrets_are_for_their_owner_alone(state: State) -> None:
    state.generate(("postgres", "redis"))
    files = list(state.secrets.iterdir())
    assert {file.name for file in files} == {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert stat.S_IMODE(state.secrets.stat().st_mode) == 0o700


def test_what_was_generated_is_kept(state: State) -> None:
    state.generate(("postgres", "redis"))
    first = addresses(state)
    state.generate(("postgres", "redis"))
    assert addresses(state) == first


def test_an_embedded_server_moves_from_a_taken_port_and_keeps_its_password(state: State) -> None:
    state.generate(("redis",))
    before = urlsplit(addresses(state)["REDIS_URL"])
    assert before.port
    with socket.socket() as other:
        other.bind(("127.0.0.1", before.port))
        other.listen()
        state.generate(("redis",))
    after = urlsplit(addresses(state)["REDIS_URL"])
    assert after.port != before.port
    assert after.password == before.password


def test_only_servers_whose_address_nobody_set_are_embedded(state: State) -> None:
    assert state.embedded_servers({}) == ("postgres", "redis")
    assert state.embedded_servers({"DATABASE_URL": "x"}) == ("redis",)
    assert state.embedded_servers({"DATABASE_URL": "x", "REDIS_URL": "y"}) == ()


def test_run_dir_can_be_chosen(tmp_path: Path) -> None:
    state = State.chosen({"STATE_DIR": str(tmp_path), "RUN_DIR": str(tmp_path / "r")})
    assert state.control_socket == tmp_path / "r" / "supervisor.sock"
    assert state.log_file.parent == state.logs


def test_a_port_that_is_listened_on_is_not_free() -> None:
    port = free_port()
    assert is_free(port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not is_free(port)
