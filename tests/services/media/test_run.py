"""Running tools: their limits, their walls, and that they never outlive us."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import anyio
import psutil
import pytest

from app.services.media import launcher, run
from app.services.media.run import (
    Limits,
    ToolFailedError,
    ToolHinderedError,
    ToolLimitError,
    held_open,
    run_tool,
)
from app.services.media.tools import ToolMissingError
from tests.servers import DEADLINE

MIB = 1024 * 1024
LIMITS = Limits(seconds=DEADLINE, memory=512 * MIB, output=MIB, processes=True)
SHELL = Path("/bin/sh")
ZERO = Path("/dev/zero")

# Only Linux before 5.13, or one built without it, lacks this.
CONFINED = Path("/proc/sys/kernel").exists() and launcher.landlock_version() > 0
confined = pytest.mark.skipif(not CONFINED, reason="this kernel has no Landlock")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_text("the source")
    return path


async def shell(script: str, folder: Path, source: Path, limits: Limits = LIMITS) -> str:
    with held_open(source) as reads:
        arguments = ["-c", script, "sh", str(reads.path)]
        output = await run_tool(SHELL, arguments, folder=folder, reads=reads, limits=limits)
    return output.decode()


async def test_the_output_is_returned(folder: Path, source: Path) -> None:
    assert await shell('cat "$1"', folder, source) == "the source"


async def test_output_that_is_handed_over_is_not_kept_and_has_no_limit(folder: Path, source: Path) -> None:
    heard = 0

    async def hear(chunk: bytes) -> None:
        nonlocal heard
        heard += len(chunk)

    script = f"head -c {3 * MIB} /dev/zero"
    with held_open(source) as reads:
        done = await run_tool(
            SHELL, ["-c", script], folder=folder, reads=reads, limits=LIMITS, libraries=[ZERO], hear=hear
        )
    assert (done, heard) == (b"", 3 * MIB)


async def test_errors_are_told_in_the_tools_own_first_words(folder: Path, source: Path) -> None:
    with pytest.raises(ToolFailedError, match=r"^moov atom not found$") as caught:
        await shell("echo '[mov @ 0x7f] moov atom not found' >&2; echo more >&2; exit 3", folder, source)
    assert "more" in caught.value.errors


async def test_an_error_without_words_is_told_by_its_exit_code(folder: Path, source: Path) -> None:
    with pytest.raises(ToolFailedError, match="exit code 3"):
        await shell("exit 3", folder, source)


async def test_a_crash_is_told_by_its_signal(folder: Path, source: Path) -> None:
    with pytest.raises(ToolFailedError, match="signal 11"):
        await shell("kill -SEGV $$", folder, source)


async def test_a_kill_from_outside_is_no_fault_of_the_file(folder: Path, source: Path) -> None:
    with pytest.raises(ToolHinderedError, match="signal 9"):
        await shell("kill -KILL $$", folder, source)


async def test_an_end_that_nobody_saw_is_no_fault_of_the_file(folder: Path, source: Path) -> None:
    with pytest.raises(ToolHinderedError, match="without a word"):
        await shell("exit 255", folder, source)


async def test_a_python_that_cannot_start_is_no_fault_of_the_file(folder: Path, source: Path) -> None:
    with pytest.raises(ToolHinderedError, match="Fatal Python error: out of memory"):
        await shell("echo 'Fatal Python error: out of memory' >&2; exit 1", folder, source)


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM"])
async def test_what_stops_a_service_leaves_its_tools_to_their_worker(
    folder: Path, source: Path, name: str
) -> None:
    assert await shell(f"kill -{name} $$; echo still there", folder, source) == "still there\n"


async def test_only_the_end_of_many_words_is_kept(folder: Path, source: Path) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo word $i >&2; i=$((i+1)); done; exit 1"
    with pytest.raises(ToolFailedError) as caught:
        await shell(script, folder, source)
    assert len(caught.value.errors) <= 8192
    assert caught.value.errors.endswith("word 2999\n")


async def test_too_much_output_ends_it(folder: Path, source: Path) -> None:
    with pytest.raises(ToolLimitError, match="more than 1048576 bytes"):
        await shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", folder, source)


async def test_too_much_time_ends_it_with_all_its_children(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(seconds=1, memory=512 * MIB, output=MIB, file_size=MIB, processes=True)
    clocks: list[asyncio.Timeout] = []

    def held(seconds: float | None) -> asyncio.Timeout:
        """Its second begins when the test says so: a busy machine may take it for the start alone."""
        assert seconds == limits.seconds
        clocks.append(timeout(None))
        return clocks[-1]

    timeout = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", held)
    script = 'sleep 600 & echo $! > "$HOME/new"; mv "$HOME/new" "$HOME/child"; wait'
    task = asyncio.create_task(shell(script, folder, source, limits))
    with anyio.fail_after(DEADLINE):
        while not (folder / "child").exists():
            await anyio.sleep(0.01)
    clocks[0].reschedule(asyncio.get_running_loop().time() + limits.seconds)
    with pytest.raises(ToolLimitError, match="longer than 1 seconds"):
        await task
    await gone(int((folder / "child").read_text()))


async def test_too_much_processor_time_ends_it(folder: Path, source: Path) -> None:
    # Two seconds of two threads; the wall clock would end it with other words.
    limits = Limits(seconds=1.9, memory=512 * MIB, output=MIB, processes=True)
    with pytest.raises(ToolFailedError):
        await shell("while :; do :; done & while :; do :; done & while :; do :; done", folder, source, limits)


@pytest.mark.timeout(400)
async def test_the_limit_of_processor_time_is_told_from_other_kills(folder: Path, source: Path) -> None:
    # One second, the least that can be set, so that the wall clock has no part in it: tools run at low
    # priority, and on a busy machine one second takes a minute.
    with pytest.raises(ToolLimitError, match="processor time"):
        await shell("while :; do :; done", folder, source, replace(LIMITS, seconds=350, threads=0))


async def test_too_much_memory_ends_it(folder: Path, source: Path) -> None:
    with pytest.raises(ToolFailedError, match="MemoryError"):
        await python(f"bytearray({1024 * MIB})", folder, source)


async def python(code: str, folder: Path, source: Path, limits: Limits = LIMITS) -> str:
    program = Path(sys.executable).resolve()
    # Its own library may be anywhere; the wall lets a tool's neighbours be read.
    quiet = ["-I", "-S", "-c", f"import sys\ntry:\n {code}\nexcept BaseException as e: sys.exit(repr(e))"]
    with held_open(source) as reads:
        output = await run_tool(program, quiet, folder=folder, reads=reads, limits=limits)
    return output.decode()


async def test_it_may_write_no_file_beyond_its_limit(folder: Path, source: Path) -> None:
    with pytest.raises(ToolFailedError, match="too large"):
        await shell('echo x > "$HOME/file"', folder, source)
    limits = Limits(seconds=DEADLINE, memory=512 * MIB, output=MIB, file_size=MIB, processes=True)
    await shell('echo x > "$HOME/file"', folder, source, limits)
    assert (folder / "file").read_text() == "x\n"


async def test_it_sees_nothing_of_our_environment(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "secret")
    seen = await shell("export -p", folder, source)
    assert "SECRET_KEY" not in seen
    assert f"HOME='{folder}'" in seen


async def test_it_runs_at_low_priority_in_a_session_of_its_own(folder: Path, source: Path) -> None:
    code = "import os; print(os.nice(0), os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid())"
    nice, session, group = (await python(code, folder, source)).split()
    assert int(nice) > os.nice(0)
    assert (session, group) == ("True", "True")


async def test_it_inherits_no_file_of_ours(folder: Path, source: Path) -> None:
    with source.open() as file:
        os.set_inheritable(file.fileno(), True)
        with pytest.raises(ToolFailedError, match="Bad file descriptor"):
            await python(f"import os; os.fstat({file.fileno()})", folder, source)


async def test_a_program_that_is_none_is_a_missing_tool(folder: Path, source: Path) -> None:
    with (
        held_open(source) as reads,
        pytest.raises(ToolMissingError, match="could not be started: No such file"),
    ):
        await run_tool(folder / "none", [], folder=folder, reads=reads, limits=LIMITS)


@on_linux
async def test_a_program_that_is_just_being_replaced_is_not_missing(
    folder: Path, source: Path, tmp_path: Path
) -> None:
    program = tmp_path / "tool"
    shutil.copy(SHELL, program)
    with program.open("ab"), held_open(source) as reads, pytest.raises(ToolHinderedError, match="busy"):
        await run_tool(program, [], folder=folder, reads=reads, limits=LIMITS)


@confined
async def test_it_reads_no_file_but_its_source(folder: Path, source: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("another's")
    with pytest.raises(ToolFailedError, match="Permission denied"):
        await shell(f"cat {secret}", folder, source)


@confined
async def test_it_writes_nowhere_but_in_its_folder(folder: Path, source: Path, tmp_path: Path) -> None:
    limits = Limits(seconds=DEADLINE, memory=512 * MIB, output=MIB, file_size=MIB, processes=True)
    with pytest.raises(ToolFailedError, match="Permission denied"):
        await shell(f"echo x > {tmp_path}/elsewhere", folder, source, limits)
    with pytest.raises(ToolFailedError, match="Permission denied"):
        await shell('echo x > "$1"', folder, source, limits)


@confined
@pytest.mark.parametrize(
    "making",
    ["os.symlink('/etc/passwd', 'x')", "os.mkfifo('x')", "os.mkdir('x')", "os.mknod('x', 0o20600, 0x103)"],
)
async def test_landlock_alone_lets_it_make_plain_files_only(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch, making: str
) -> None:
    monkeypatch.setattr(run, "judging", lambda *_, **__: ())
    with pytest.raises(ToolFailedError, match=r"PermissionError\(13, "):
        await python(f"import os; {making}", folder, source)


@confined
async def test_it_sees_of_the_system_what_programs_are_made_of(folder: Path, source: Path) -> None:
    with pytest.raises(ToolFailedError, match="Permission denied"):
        await shell("ls /usr", folder, source)


@confined
@pytest.mark.skipif(CONFINED and launcher.landlock_version() < 4, reason="this Landlock knows no network")
async def test_it_reaches_no_server(folder: Path, source: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import _socket; _socket.socket().connect(('127.0.0.1', {server.getsockname()[1]}))"
        with pytest.raises(ToolFailedError, match=r"PermissionError|ModuleNotFoundError") as caught:
            await python(code, folder, source)
        if "ModuleNotFoundError" in str(caught.value):
            pytest.skip("this Python keeps its socket module where the wall hides it")


@asynccontextmanager
async def running(folder: Path, source: Path) -> AsyncIterator[tuple["asyncio.Task[str]", int]]:
    """A tool that would run for ten minutes, with its process id."""
    limits = Limits(seconds=600, memory=512 * MIB, output=MIB, file_size=MIB, processes=True)
    task = asyncio.create_task(
        shell('echo $$ > "$HOME/pid.new"; mv "$HOME/pid.new" "$HOME/pid"; sleep 600', folder, source, limits)
    )
    try:
        with anyio.fail_after(DEADLINE):
            while not (folder / "pid").exists():
                await anyio.sleep(0.01)
        yield task, int((folder / "pid").read_text())
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@on_linux
async def test_it_has_no_capability_and_gets_none(folder: Path, source: Path) -> None:
    mine = capabilities(os.getpid())
    async with running(folder, source) as (_, pid):
        its = capabilities(pid)
    bounds = its.pop("CapBnd")
    assert its == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapAmb": 0}
    # Only who has CAP_SETPCAP can change what programs may ever get; others are kept by `no_new_privs`.
    assert bounds == (0 if mine["CapEff"] & 1 << 8 else mine["CapBnd"])


def capabilities(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[:6]: int(line[8:], 16) for line in lines if line.startswith("Cap")}


async def gone(pid: int) -> None:
    # It may be gone between the look whether it is there and the one at what it does.
    with anyio.fail_after(DEADLINE), suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await anyio.sleep(0.01)


async def test_cancelling_kills_it(folder: Path, source: Path) -> None:
    async with running(folder, source) as (task, pid):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not psutil.pid_exists(pid)


@on_linux
async def test_it_dies_with_a_worker_that_is_killed(folder: Path, source: Path, tmp_path: Path) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.services.media.hold_a_tool", str(folder), str(source)
    )
    try:
        with anyio.fail_after(DEADLINE):
            while not (folder / "pid").exists():
                await anyio.sleep(0.01)
        pid = int((folder / "pid").read_text())
        assert psutil.pid_exists(pid)
        worker.send_signal(signal.SIGKILL)
        await gone(pid)
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()
