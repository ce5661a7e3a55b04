"""What is in the image, and above all what is not."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.container.harness import IMAGE, client, docker, is_of_nix
from tests.container.trees import differences, tree

pytestmark = pytest.mark.container

LARGEST = 250_000_000
"""Bytes of all layers, unpacked."""

BUILDERS = frozenset(
    {"gcc", "cc", "cc1", "c++", "ld", "as", "make", "cmake", "cargo", "rustc", "pip", "pip3", "uv", "nasm"}
)
MANAGERS = frozenset({"apt", "apt-get", "dpkg", "perl", "bash"})
OF_NIXPKGS = frozenset({"bash"})
"""What its packages start for themselves, and so bring along."""

CACHES = ("root/.cache/", "var/cache/apt/", "var/lib/apt/lists/", "var/log/", "tmp/", "home/")


@pytest.fixture(scope="module")
def configured() -> dict[str, object]:
    found: dict[str, object] = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", IMAGE))
    return found


def test_a14_v9_port_probe_signal_volume_and_command(configured: dict[str, object]) -> None:
    probe = configured["Healthcheck"]
    assert isinstance(probe, dict)
    seconds = {name: probe[name] // 1_000_000_000 for name in ("Interval", "Timeout", "StartPeriod")}
    assert (seconds, probe["Retries"]) == ({"Interval": 30, "Timeout": 10, "StartPeriod": 60}, 3)
    assert list(configured["ExposedPorts"]) == ["8000/tcp"]  # type: ignore[call-overload]  # a mapping
    assert list(configured["Volumes"]) == ["/workspace"]  # type: ignore[call-overload]  # a mapping
    assert (configured["StopSignal"], configured.get("Entrypoint")) == ("SIGTERM", None)
    assert configured["Cmd"] == ["holdfast", "run"]


def test_it_says_what_it_is(configured: dict[str, object]) -> None:
    labels = configured["Labels"]
    assert isinstance(labels, dict)
    kinds = ("title", "description", "version", "revision", "created")
    assert set(labels) >= {f"org.opencontainers.image.{kind}" for kind in kinds}


@pytest.mark.dockerfile("nixpkgs' programs have other sizes, and those of a stand-in have none that matters")
def test_it_is_small(figures: dict[str, str]) -> None:
    size = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
    figures["image with ffmpeg and ffprobe"] = f"{size / 1_000_000:.0f} MB"
    assert size < LARGEST


def layers() -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Every file of every layer, those too that a later layer hides."""
    with subprocess.Popen([client(), "save", IMAGE], stdout=subprocess.PIPE) as process:
        assert process.stdout
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for entry in archive:
                if content := archive.extractfile(entry):
                    yield from members(content.read())


def members(data: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """The files of a layer; nothing where it is none, but a description."""
    with suppress(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(data)) as layer:
        for entry in layer:
            content = layer.extractfile(entry) if entry.isfile() else None
            yield entry, content.read() if content else b""


def test_no_layer_holds_a_cache_a_compiler_or_what_the_build_was_given() -> None:
    planted = os.environ.get("PLANTED_SECRET", "").encode()
    forbidden = BUILDERS | (MANAGERS - OF_NIXPKGS if is_of_nix() else MANAGERS)
    found, bad = 0, []
    for entry, content in layers():
        found += 1
        name = entry.name.removeprefix("./")
        program = name.rpartition("/")[2] if entry.mode & 0o111 and "bin/" in name else ""
        if program in forbidden or (entry.isfile() and name.startswith(CACHES)):
            bad.append(name)
        if entry.isfile() and entry.mode & 0o6000:
            bad.append(f"{name} has special rights")
        if planted and planted in content:
            bad.append(f"{name} holds a secret of the build")
    assert found > 5000
    assert bad == []


def test_its_history_tells_no_secret() -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", IMAGE)
    assert "holdfast" in history
    for word in ("BEGIN CERTIFICATE", "password", "index-url", os.environ.get("PLANTED_SECRET") or "token"):
        assert word not in history


def test_every_library_that_a_program_needs_is_there() -> None:
    # The C library comes with the loader.
    script = (
        "libc='lib(c|m|dl|rt|pthread)[.]so'; "
        "loader=$(echo /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1 /nix/store/*/lib/ld-linux-*.so.[12] "
        "| tr ' ' '\\n' | grep -v '[*]' | head -n 1); "
        "for file in $(find /usr /opt $(ls -d /nix) -type f -name '*.so*' -o -type f -path '*bin/*'); do "
        "LD_TRACE_LOADED_OBJECTS=1 $loader $file 2>/dev/null | grep 'not found' | grep -qvE $libc "
        "&& echo $file; done; true"
    )
    assert docker("run", "--rm", IMAGE, "sh", "-c", script) == ""


def test_any_account_can_run_what_is_in_it() -> None:
    script = "find /app /opt $(ls -d /nix) -not -readable"
    assert docker("run", "--rm", "--user", "54321:54321", IMAGE, "sh", "-c", script) == ""


def test_two_builds_of_one_commit_differ_in_nothing_but_times() -> None:
    again = os.environ.get("HOLDFAST_IMAGE_AGAIN")
    if not again:
        pytest.skip(
            "no second image: build one with --build-arg FRESH=2 and name it with HOLDFAST_IMAGE_AGAIN"
        )
    assert differences(tree(IMAGE), tree(again)) == []
