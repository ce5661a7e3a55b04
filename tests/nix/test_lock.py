"""flake.lock pins what flake.nix names, and nothing else."""

import json
import re
from typing import Any

import pytest

from app.core.config import PROJECT_ROOT


@pytest.fixture
def nodes() -> dict[str, Any]:
    lock: dict[str, Any] = json.loads((PROJECT_ROOT / "flake.lock").read_text("utf-8"))
    assert (lock["version"], lock["root"]) == (7, "root")
    nodes: dict[str, Any] = lock["nodes"]
    return nodes


def test_the_only_input_of_the_flake_is_the_one_that_is_locked(flake: str, nodes: dict[str, Any]) -> None:
    assert re.findall(r"inputs\.(\w+)", flake) == ["nixpkgs"]
    assert nodes["root"]["inputs"] == {"nixpkgs": "nixpkgs"}
    assert set(nodes) == {"root", "nixpkgs"}


def test_the_lock_is_of_the_branch_that_the_flake_names(flake: str, nodes: dict[str, Any]) -> None:
    named = re.search(r'inputs\.nixpkgs\.url = "(\w+):([\w-]+)/([\w-]+)/([\w.-]+)"', flake)
    assert named
    kind, owner, repo, ref = named.groups()
    assert nodes["nixpkgs"]["original"] == {"type": kind, "owner": owner, "repo": repo, "ref": ref}


def test_it_pins_a_commit_by_its_content(nodes: dict[str, Any]) -> None:
    locked = nodes["nixpkgs"]["locked"]
    assert {name: locked[name] for name in ("type", "owner", "repo")} == {
        name: nodes["nixpkgs"]["original"][name] for name in ("type", "owner", "repo")
    }
    assert re.fullmatch(r"[0-9a-f]{40}", locked["rev"])
    assert re.fullmatch(r"sha256-[A-Za-z0-9+/]{43}=", locked["narHash"])
