"""An embedded PostgreSQL keeps to the data that it finds."""

import shutil
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from app.supervision.embedded import binaries
from app.supervision.embedded.binaries import ServerMissingError
from app.supervision.embedded.postgres import newest_version, programs_for
from tests.servers import Server, plain, postgres_server, state_folder
from tests.supervision.embedded.test_binaries import make_postgres


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's home on a machine with PostgreSQL 16 and 18, the newer one found first."""
    for version in (16, 18):
        make_postgres(tmp_path / "debian" / str(version), version=f"{version}.1")
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(binaries, "package_folder", lambda _name: None)
    monkeypatch.setattr(binaries, "_DEBIAN_FOLDERS", f"{tmp_path}/debian/*/bin")
    return tmp_path / "home"


def make_data(home: Path, name: str) -> None:
    (home / name).mkdir(parents=True)
    (home / name / "PG_VERSION").touch()


def test_an_empty_home_takes_the_first_version_found(home: Path) -> None:
    assert programs_for(home).version == 18


def test_data_is_served_by_the_version_that_made_it(home: Path) -> None:
    make_data(home, "data-16")
    assert programs_for(home).version == 16


def test_data_of_a_missing_version_is_not_replaced_by_an_empty_database(home: Path) -> None:
    make_data(home, "data-17")
    with pytest.raises(ServerMissingError, match=r"data of PostgreSQL 17 is in .*/data-17: install"):
        programs_for(home)


def test_of_several_data_folders_the_newest_whole_one_counts(home: Path) -> None:
    for name in ("data-9", "data-16", "data-17.partial"):
        make_data(home, name)
    (home / "data-18").mkdir()
    assert newest_version(home) == 16


def connects(address: str) -> bool:
    try:
        psycopg.connect(plain(address), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_data_that_outlives_its_password_takes_the_new_one() -> None:
    with state_folder() as folder:
        server = postgres_server(folder)
        server.start()
        server.stop()
        address = make_url(server.address).set(password="it's\\new").render_as_string(hide_password=False)
        again = Server(folder, "postgres", "DATABASE_URL", address, lambda: connects(address))
        try:
            again.start()
            assert not connects(server.address)
        finally:
            again.stop()
        assert [mark.stat().st_mode & 0o777 for mark in (folder / "postgres").glob("*.password")] == [0o600]
