"""Nothing that a tool leaves in its folder leads its worker to another file."""

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.services.media import pictures, preview, stills
from app.services.media.made import made
from app.services.media.probe import UnreadableError
from app.services.media.run import ToolFailedError, run_tool
from tests.samples import Samples
from tests.services.media.processing import Processed


def test_what_a_tool_wrote_is_opened(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(b"a picture")
    with made(tmp_path / "large.jpg") as file:
        assert file.read() == b"a picture"
    assert file.closed


def test_a_tool_that_wrote_nothing_failed(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="it wrote nothing"), made(tmp_path / "large.jpg"):
        pass


def a_link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def a_second_name(path: Path, secret: Path) -> None:
    path.hardlink_to(secret)


def a_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path, _: Path) -> None:
    path.mkdir()


def a_socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # A path of its own would be too long.
        server.bind(path.name)


def next_descriptor() -> int:
    """The lowest one that is free."""
    free = os.dup(0)
    os.close(free)
    return free


@pytest.mark.parametrize("trap", [a_link, a_second_name, a_pipe, a_folder, a_socket])
def test_what_is_no_file_of_the_tools_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: Callable[[Path, Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("another's")
    trap(tmp_path / "large.jpg", secret)
    before = next_descriptor()
    with pytest.raises(UnreadableError, match="leads its reader astray"), made(tmp_path / "large.jpg"):
        pass
    assert next_descriptor() == before


def test_a_failing_disk_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="Input/output error"), made(tmp_path / "large.jpg"):
        pass


@pytest.fixture
def secret(tmp_path: Path, samples: Samples) -> Path:
    """Another's film, which each step would take for its own."""
    path = tmp_path / "secret"
    path.write_bytes(samples.data("clip.mp4", seconds=10))
    return path


async def leave_a_link(name: str, secret: Path, *arguments: Any, **options: Any) -> bytes:
    output = await run_tool(*arguments, **options)
    path: Path = options["folder"] / name
    if path.exists():
        path.unlink()
        path.symlink_to(secret)
    return output


@pytest.fixture
def astray(monkeypatch: pytest.MonkeyPatch, secret: Path) -> Callable[[ModuleType, str], None]:
    """Have the tools that a module starts leave a link in the place of what they were to make."""

    def lead(module: ModuleType, name: str) -> None:
        monkeypatch.setattr(module, "run_tool", partial(leave_a_link, name, secret))

    return lead


@pytest.mark.parametrize(
    ("module", "name", "sample"),
    [
        (pictures, "large.jpg", "picture.jpg"),
        (stills, "large.jpg", "clip.mp4"),
        (preview, "encoded.mp4", "clip.mp4"),
        (preview, "preview.mp4", "clip.mp4"),
    ],
)
async def test_no_step_takes_what_a_link_leads_to(
    processed: Processed,
    samples: Samples,
    astray: Callable[[ModuleType, str], None],
    *,
    module: ModuleType,
    name: str,
    sample: str,
) -> None:
    astray(module, name)
    with pytest.raises(UnreadableError, match="leads its reader astray"):
        await processed(samples.data(sample))


async def test_a_reader_that_ends_well_without_its_picture_has_failed(
    processed: Processed, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave_nothing(*arguments: Any, **options: Any) -> bytes:
        output = await run_tool(*arguments, **options)
        (options["folder"] / "large.jpg").unlink()
        return output

    monkeypatch.setattr(pictures, "run_tool", leave_nothing)
    with pytest.raises(UnreadableError, match="it wrote nothing"):
        await processed(samples.data("picture.jpg"))
