"""``supervisorctl reload`` makes everything anew, and nothing twice."""

from pathlib import Path

from tests.supervision.stack import Stack, until


def threads(stack: Stack) -> int:
    return len(list(Path(f"/proc/{stack.process.pid}/task").iterdir()))


def reload(stack: Stack, times: int) -> None:
    for _ in range(times):
        begun = len(stack.messages(message="supervision begins"))
        assert stack.ctl("reload").returncode == 0
        until(lambda count=begun: len(stack.messages(message="supervision begins")) > count)  # type: ignore[misc]
        until(stack.answers)


def test_lines_are_written_once_after_reloads(stack: Stack) -> None:
    stack.program("plain", "stay", "hello")
    stack.start()
    stack.says("hello")
    for lines in (2, 3):
        reload(stack, 1)
        # A reload ends a program that is still starting, before it has said anything.
        until(lambda lines=lines: len(stack.messages(logger="plain")) == lines)  # type: ignore[misc]
    stack.stop()
    assert len(stack.messages(logger="plain")) == 3
    assert len(stack.messages(message="supervision begins")) == 3


def test_no_thread_is_left_over_by_reloads(stack: Stack) -> None:
    stack.program("plain", "stay", "hello")
    stack.start()
    stack.says("hello")
    before = threads(stack)
    reload(stack, 2)
    # The threads of what a reload replaced end beside it.
    until(lambda: threads(stack) == before)


def test_a_log_file_is_written_on_after_a_reload(stack: Stack) -> None:
    file = stack.folder / "holdfast.log"
    stack.program("plain", "stay", "hello")
    stack.start(HOLDFAST_LOG_FILE=file)
    until(lambda: file.exists() and file.read_text().count("hello") == 1)
    assert stack.ctl("reload").returncode == 0
    until(lambda: file.read_text().count("hello") == 2)
    assert stack.stop() == 0


def test_the_exit_code_is_still_0_after_a_reload(stack: Stack) -> None:
    stack.program("plain", "stay")
    stack.start()
    reload(stack, 1)
    assert stack.stop() == 0


def test_the_exit_code_is_still_70_after_a_reload(stack: Stack) -> None:
    flag = stack.folder / "broken"
    stack.program(
        "api", command=f"/bin/sh -c '[ -e {flag} ] || exec sleep 600; exit 3'", startsecs=1, startretries=0
    )
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=0)
    stack.pid("api")
    flag.touch()
    assert stack.ctl("reload").returncode == 0
    assert stack.wait() == 70


def test_a_reload_within_the_grace_forgets_the_fatal_program(stack: Stack) -> None:
    flag = stack.folder / "healthy"
    stack.program(
        "api", command=f"/bin/sh -c '[ ! -e {flag} ] || exec sleep 600; exit 3'", startsecs=1, startretries=0
    )
    stack.start(HOLDFAST_CRITICAL="api", FATAL_GRACE=600)
    until((stack.run / "fatal").exists)
    flag.touch()
    reload(stack, 1)
    stack.pid("api")
    assert not (stack.run / "fatal").exists()
    assert stack.stop() == 0
