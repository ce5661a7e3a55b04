"""What the stack writes, and what happens when nobody reads it."""

import fcntl
import json
import os
import select
import signal
import termios
from array import array

from app.supervision.output import BUFFER_BYTES
from tests.supervision.stack import Stack, until


def waiting_bytes(stack: Stack) -> int:
    """How much of its output lies in the pipe."""
    assert stack.process.stdout
    waiting = array("i", [0])
    fcntl.ioctl(stack.process.stdout.fileno(), termios.FIONREAD, waiting)
    return waiting[0]


def is_full(stack: Stack) -> bool:
    """Whether the pipe of its output takes nothing more."""
    writing = os.open(f"/proc/{stack.process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
    try:
        return not select.select([], [writing], [], 0)[1]
    finally:
        os.close(writing)


def stall(stack: Stack) -> None:
    """Start without a reader and wait until twice as much was written as the stack may keep."""
    done = stack.folder / "done"
    stack.program("loud", "spew", 2 * BUFFER_BYTES // 900, done)
    stack.start(read=False)
    until(done.exists, "the end of the noise")
    until(lambda: is_full(stack), "a full pipe")


def test_every_line_of_every_program_is_a_json_object(stack: Stack) -> None:
    """L6, P5."""
    stack.program("plain", "stay", "hello", '{\\"message\\":\\"mine\\"}')
    stack.program("broken", "crash", startretries=0, startsecs=1)
    stack.program("half", "partial", autorestart="false")
    stack.program("absent", command="/nonexistent/program", startretries=0)
    stack.start()
    assert "Traceback" in stack.says("the toy is broken", logger="broken", level="ERROR")
    stack.says("half a li", logger="half")
    stack.says("hello", logger="plain", level="INFO", process=stack.pid("plain"))
    stack.says("gave up: absent", logger="supervisord")
    stack.stop()
    assert b'{"message":"mine"}\n' in stack.lines
    assert all(isinstance(json.loads(line), dict) for line in stack.lines)


def test_a_secret_in_a_foreign_line_is_masked(stack: Stack) -> None:
    stack.program("careless", "stay", "connecting to redis://:hunter22@localhost/0")
    stack.start()
    assert "hunter22" not in stack.says("connecting to", logger="careless")


def test_a_stalled_reader_does_not_stop_supervision(stack: Stack) -> None:
    stack.program("quiet", "stay")
    stall(stack)
    full = waiting_bytes(stack)
    old = stack.pid("quiet")
    os.kill(old, signal.SIGKILL)
    assert stack.another_pid("quiet", old)
    assert waiting_bytes(stack) == full
    stack.read()
    stack.says("were dropped here", logger="supervisord", level="WARNING")
    assert stack.stop() == 0
    assert all(isinstance(json.loads(line), dict) for line in stack.lines)


def test_a_stalled_reader_does_not_stop_the_end(stack: Stack) -> None:
    stall(stack)
    assert stack.stop() == 0


def test_the_log_goes_to_a_file_where_one_is_named(stack: Stack) -> None:
    file = stack.folder / "holdfast.log"
    stack.program("plain", "stay", "hello")
    stack.start(HOLDFAST_LOG_FILE=file)
    until(lambda: file.exists() and "hello" in file.read_text(), "the line in the file")
    assert stack.stop() == 0
    assert stack.lines == []
    assert file.stat().st_mode & 0o777 == 0o600
    assert all(isinstance(json.loads(line), dict) for line in file.read_text().splitlines())


def test_a_log_file_that_was_moved_is_opened_anew_on_usr2(stack: Stack) -> None:
    file = stack.folder / "holdfast.log"
    stack.program("plain", "stay", "hello")
    stack.start(HOLDFAST_LOG_FILE=file)
    until(file.exists)
    file.rename(stack.folder / "moved")
    stack.process.send_signal(signal.SIGUSR2)
    stack.ctl("restart", "plain")
    until(lambda: file.exists() and "hello" in file.read_text(), "the line in a new file")
