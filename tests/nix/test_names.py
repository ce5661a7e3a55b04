"""All that is used of nixpkgs is listed in one place, which the stand-in is made from."""

import json
import re
from collections.abc import Iterator

from app.core.config import PROJECT_ROOT
from tests.nix.conftest import NIX

STANDIN = PROJECT_ROOT / "tests" / "nix" / "standin"
VARIABLES = {
    "python": "pkgs.python313",
    "extensions": "pkgs.postgresql.withPackages",
}
"""What stands for a package of nixpkgs in our expressions."""

EXTENSIONS = {"pkgs.postgresql.withPackages.pgvector"}
"""Arguments of functions of nixpkgs, which the stand-in takes whatever they are."""


def expressions() -> str:
    """Our own, without comments."""
    files = [PROJECT_ROOT / "flake.nix", *sorted(NIX.glob("*.nix"))]
    return "\n".join(re.sub(r"(?m)(^|\s)#.*", "", file.read_text("utf-8")) for file in files)


def used() -> set[str]:
    """Names with their path, such as ``lib.getExe``."""
    text = re.sub(r"\bnixpkgs\.", "", expressions())
    text = re.sub(r"inherit \((lib|pkgs)(\.[\w.]+)?\) (\w+);", r"\1\2.\3", text)
    found = re.findall(r"(?<![\w./-])(lib|pkgs|python|extensions)\.([a-zA-Z][\w.'-]*)", text)
    return {f"{VARIABLES.get(base, base)}.{path}" for base, path in found}


def listed() -> set[str]:
    """The names of ``names.json``, each with its path."""

    def paths(inner: object, path: str) -> Iterator[str]:
        if isinstance(inner, dict):
            for name, deeper in inner.items():
                yield from paths(deeper, f"{path}.{name}" if path else name)
        else:
            assert isinstance(inner, list)
            yield path
            yield from (f"{path}.{name}" for name in inner)

    return set(paths(json.loads((STANDIN / "names.json").read_text("utf-8")), ""))


def test_what_the_flake_uses_of_nixpkgs_is_what_the_stand_in_lists() -> None:
    assert used() - EXTENSIONS == listed()


def test_no_input_but_nixpkgs_and_no_other_way_to_it_is_used() -> None:
    text = expressions()
    for way in (
        "import <",
        "builtins.fetch",
        "fetchTarball",
        "fetchGit",
        "with pkgs",
        "with lib",
        "getFlake",
    ):
        assert way not in text
