"""Who runs a server that refuses root, and where."""

import os
import subprocess
from pathlib import Path

import pytest

from app.supervision.embedded.account import (
    SHARED_HOME,
    Account,
    is_passable,
    make_passable,
    reachable_copy,
    server_home,
    unprivileged_account,
)
from app.supervision.embedded.binaries import find_postgres

SOMEBODY = Account("somebody", os.getuid(), os.getgid())


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


def test_a_person_needs_no_other_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unprivileged_account() is None


def test_root_gets_one_that_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    account = unprivileged_account()
    assert account is not None
    assert account.uid != 0


def test_root_without_such_an_account_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("app.supervision.embedded.account._CANDIDATES", ("no-such-account",))
    with pytest.raises(RuntimeError, match="no-such-account"):
        unprivileged_account()


def test_data_lives_beside_a_folder_that_the_account_cannot_pass(closed: Path) -> None:
    assert not is_passable(closed / "state" / "postgres")
    assert server_home(closed / "state", SOMEBODY).is_relative_to(SHARED_HOME)
    assert server_home(closed / "state", SOMEBODY) != server_home(closed / "other", SOMEBODY)
    assert server_home(closed / "state", None) == closed / "state" / "postgres"


def test_programs_are_copied_once_to_where_the_account_can_reach_them(closed: Path, tmp_path: Path) -> None:
    (closed / "bin").mkdir()
    (closed / "bin" / "postgres").write_text("program")
    assert reachable_copy(closed, None, tmp_path / "home") == closed
    copy = reachable_copy(closed, SOMEBODY, tmp_path / "home" / "postgres")
    assert (copy / "bin" / "postgres").read_text() == "program"
    (copy / "mark").touch()
    assert (reachable_copy(closed, SOMEBODY, tmp_path / "home" / "postgres") / "mark").exists()


def test_a_copied_postgresql_finds_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.supervision.embedded.account.is_passable", lambda _path: False)
    copy = reachable_copy(find_postgres().prefix, SOMEBODY, tmp_path / "home" / "postgres")
    assert copy.is_relative_to(tmp_path)
    for program in ("postgres", "initdb"):
        done = subprocess.run(
            [copy / "bin" / program, "--version"], capture_output=True, text=True, check=True
        )
        assert "PostgreSQL" in done.stdout


def test_folders_on_the_way_can_be_passed_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_passable(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [folder.stat().st_mode & 0o777 for folder in (tmp_path / "a", tmp_path / "a" / "b")] == [
        0o755,
        0o755,
    ]
