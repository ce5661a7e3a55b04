"""Where the servers' programs are found."""

import shutil
from pathlib import Path

import pytest

from app.supervision.embedded import binaries
from app.supervision.embedded.binaries import ServerMissingError, find_postgres, find_redis


def make_postgres(prefix: Path, *, version: str = "17.2", vector: bool = True) -> Path:
    (prefix / "bin").mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = prefix / "bin" / name
        program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    if vector:
        (prefix / "share/extension").mkdir(parents=True)
        (prefix / "share/extension/vector.control").touch()
    return prefix


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "package_folder", lambda _name: None)
    monkeypatch.setattr(binaries, "_DEBIAN_FOLDERS", "/nonexistent/*")
    monkeypatch.setattr(binaries, "UNPACKED_REDIS", Path("/nonexistent"))


def on_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(
        shutil, "which", lambda name: str(folder / name) if (folder / name).exists() else None
    )


@pytest.mark.usefixtures("no_wheels")
def test_a_postgres_on_the_path_with_pgvector_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = make_postgres(tmp_path / "pg")
    on_path(monkeypatch, prefix / "bin")
    found = find_postgres()
    assert found.version == 17
    assert found.program("initdb") == str(prefix.resolve() / "bin" / "initdb")


@pytest.mark.usefixtures("no_wheels")
@pytest.mark.parametrize(
    ("version", "vector", "reason"), [("13.1", True, "is version 13"), ("17.1", False, "has no pgvector")]
)
def test_one_that_will_not_do_is_passed_over_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, vector: bool, reason: str
) -> None:
    on_path(monkeypatch, make_postgres(tmp_path / "pg", version=version, vector=vector) / "bin")
    with pytest.raises(ServerMissingError, match=reason):
        find_postgres()


def two_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, make_postgres(tmp_path / "new", version="18.1") / "bin")
    make_postgres(tmp_path / "debian" / "16", version="16.4")
    monkeypatch.setattr(binaries, "_DEBIAN_FOLDERS", f"{tmp_path}/debian/*/bin")


@pytest.mark.usefixtures("no_wheels")
def test_a_wanted_version_is_looked_for_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_versions(tmp_path, monkeypatch)
    assert find_postgres().version == 18
    assert find_postgres(16).version == 16


@pytest.mark.usefixtures("no_wheels")
def test_no_other_version_stands_in_for_the_wanted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_versions(tmp_path, monkeypatch)
    with pytest.raises(ServerMissingError, match="is version 18"):
        find_postgres(17)


def test_the_wheels_serve_where_the_path_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(binaries, "_DEBIAN_FOLDERS", "/nonexistent/*")
    assert find_postgres().version >= 16


@pytest.mark.usefixtures("no_wheels")
def test_a_valkey_is_as_good_as_a_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "valkey-server").touch()
    on_path(monkeypatch, tmp_path)
    assert find_redis() == str(tmp_path / "valkey-server")


@pytest.mark.usefixtures("no_wheels")
def test_without_any_redis_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(monkeypatch, tmp_path)
    with pytest.raises(ServerMissingError, match="install the package redis-server"):
        find_redis()


@pytest.mark.usefixtures("no_wheels")
def test_a_redis_unpacked_beside_the_environment_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(binaries, "UNPACKED_REDIS", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").touch()
    assert find_redis() == str(tmp_path / "bin" / "redis-server")
