"""Files that cannot be processed or must not be, and what is no fault of theirs."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.core.config.groups import MediaSettings
from app.services.media import probe
from app.services.media.probe import UnreadableError
from app.services.media.process import Bench, StoredFileError, process
from app.services.media.run import ToolFailedError, ToolHinderedError, ToolLimitError, run_tool
from app.services.media.tools import MediaTools, ToolMissingError
from app.services.media.types import MEDIA_TYPES, sniff
from app.services.workspace.incoming import HEAD
from tests.samples import Samples, behind_id3, playlist
from tests.services.media.processing import Processed, ignore


async def test_a_truncated_video_is_unreadable_and_the_reason_says_why(
    samples: Samples, processed: Processed
) -> None:
    with pytest.raises(UnreadableError, match=r"video/mp4.*damaged.*moov atom not found"):
        await processed(samples.data("truncated.mp4"))


async def test_a_picture_without_its_data_is_unreadable(samples: Samples, processed: Processed) -> None:
    with pytest.raises(UnreadableError):
        await processed(samples.data("picture.jpg")[:200])


async def test_noise_behind_a_good_header_is_unreadable(processed: Processed) -> None:
    with pytest.raises(UnreadableError):
        await processed(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(range(256)) * 400)


@pytest.fixture
def secret(tmp_path: Path, samples: Samples) -> Path:
    """Another's file, outside of what the tools may read."""
    path = tmp_path / "another" / "secret.ts"
    path.parent.mkdir()
    path.write_bytes(samples.data("clip.ts"))
    return path


async def test_a_playlist_that_passes_for_any_type_never_opens_another_file(
    processed: Processed, secret: Path
) -> None:
    for mime in sorted(MEDIA_TYPES):
        with pytest.raises(UnreadableError):
            await processed(playlist(secret), mime)


async def test_a_playlist_behind_an_id3_tag_never_opens_another_file(
    processed: Processed, secret: Path
) -> None:
    # ffmpeg left to itself skips the tag and finds the playlist; the type that was told is MP3.
    with pytest.raises(UnreadableError):
        await processed(behind_id3(playlist(secret)))


async def test_a_concat_script_never_opens_another_file(processed: Processed, secret: Path) -> None:
    script = f"ffconcat version 1.0\nfile {secret}\n".encode()
    for mime in ("video/mp4", "video/mp2t", "audio/mpeg"):
        with pytest.raises(UnreadableError):
            await processed(script, mime)


def probed(media_tools: MediaTools, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """ffprobe without any wall around it."""
    return subprocess.run([media_tools.ffprobe, *arguments], capture_output=True, check=False, timeout=60)


def test_the_options_alone_keep_a_script_from_its_target(
    media_tools: MediaTools, samples: Samples, tmp_path: Path
) -> None:
    # A relative name: absolute ones ffmpeg refuses by itself.
    script = tmp_path / "clip.mp4"
    script.write_text("ffconcat version 1.0\nfile target.ts\n")
    (tmp_path / "target.ts").write_bytes(samples.data("clip.ts"))
    shown = ("-v", "error", "-show_entries", "format=format_name", "-i", f"file:{script}")
    if b"concat" not in probed(media_tools, "-v", "error", "-demuxers").stdout:
        pytest.skip("this ffmpeg reads no concat scripts, whatever it is told")
    assert b"concat" in probed(media_tools, *shown).stdout, "this attack works on an ffmpeg left to itself"
    for media_type in MEDIA_TYPES.values():
        seen = probed(media_tools, *probe.arguments(script, media_type)).stdout
        assert b"h264" not in seen
        assert b"concat" not in seen


def test_the_whitelist_holds_where_no_type_is_forced(
    media_tools: MediaTools, samples: Samples, tmp_path: Path
) -> None:
    script = tmp_path / "clip.mp4"
    script.write_text("ffconcat version 1.0\nfile target.ts\n")
    (tmp_path / "target.ts").write_bytes(samples.data("clip.ts"))
    arguments = probe.arguments(script, MEDIA_TYPES["video/mp4"])
    place = arguments.index("-f")
    done = probed(media_tools, *arguments[:place], *arguments[place + 2 :])
    assert done.returncode != 0
    assert b"whitelist" in done.stderr


async def test_a_thumbnail_that_takes_too_long_is_given_up_at_once(
    bench: Bench, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Path] = []
    tools = bench.find_tools()

    async def run(program: Path, *arguments: Any, **options: Any) -> bytes:
        runs.append(program)
        if program == tools.ffmpeg:
            raise ToolLimitError("it took longer than 5 seconds")
        return await run_tool(program, *arguments, **options)

    monkeypatch.setattr("app.services.media.process.run_tool", run)
    monkeypatch.setattr("app.services.media.stills.run_tool", run)
    stored = await bench.workspace.keep(samples.data("clip.mp4"))
    with pytest.raises(UnreadableError, match="given up: it took longer than 5 seconds"):
        await process(bench, stored.key, MEDIA_TYPES["video/mp4"], ignore)
    assert runs == [tools.ffprobe, tools.ffmpeg]


async def test_a_tool_that_takes_too_long_is_given_up_with_the_limit(bench: Bench, samples: Samples) -> None:
    hurried = Bench(bench.workspace, bench.find_tools, MediaSettings(tool_timeout=0.001))
    stored = await bench.workspace.keep(samples.data("clip.mp4"))
    with pytest.raises(UnreadableError, match=r"longer than 0\.001 seconds"):
        await process(hurried, stored.key, MEDIA_TYPES["video/mp4"], ignore)


async def test_a_picture_that_would_need_too_much_memory_is_unreadable(processed: Processed) -> None:
    header = b"BM" + (54).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    size = (40).to_bytes(4, "little") + (60000).to_bytes(4, "little") * 2
    with pytest.raises(UnreadableError):
        await processed(header + size + b"\1\0\x18\0" + bytes(24) + bytes(1000))


async def test_a_missing_tool_is_no_fault_of_the_file(bench: Bench, samples: Samples) -> None:
    none = MediaTools(Path("/nonexistent"), Path("/nonexistent"))
    toolless = Bench(bench.workspace, lambda: none, bench.settings)
    stored = await bench.workspace.keep(samples.data("clip.mp4"))
    with pytest.raises(ToolMissingError):
        await process(toolless, stored.key, MEDIA_TYPES["video/mp4"], ignore)


async def test_a_missing_object_is_no_fault_of_the_file(bench: Bench) -> None:
    with pytest.raises(FileNotFoundError):
        await process(bench, "ab" * 32, MEDIA_TYPES["video/mp4"], ignore)


@pytest.mark.parametrize("name", ["clip.mp4", "tone.mp3", "picture.jpg"])
async def test_a_file_that_the_system_lets_no_tool_open_is_not_called_damaged(
    bench: Bench, samples: Samples, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def shut(_program: Path, _arguments: Any, **options: Any) -> bytes:
        raise ToolFailedError(f"file:{options['reads'].path}: Too many open files")

    monkeypatch.setattr("app.services.media.process.run_tool", shut)
    monkeypatch.setattr("app.services.media.pictures.run_tool", shut)
    stored = await bench.workspace.keep(samples.data(name))
    with pytest.raises(ToolHinderedError):
        await process(bench, stored.key, sniff(samples.data(name)[:HEAD]), ignore)


async def test_a_file_that_the_storage_has_spoilt_is_not_laid_to_its_owner(
    bench: Bench, samples: Samples
) -> None:
    stored = await bench.workspace.keep(samples.data("clip.mp4"))
    bench.workspace.path(stored.key).write_bytes(samples.data("truncated.mp4"))
    with pytest.raises(StoredFileError):
        await process(bench, stored.key, MEDIA_TYPES["video/mp4"], ignore)
    await bench.workspace.keep(samples.data("clip.mp4"))
    outcome = await process(bench, stored.key, MEDIA_TYPES["video/mp4"], ignore)
    assert outcome.thumbnail_key is not None
