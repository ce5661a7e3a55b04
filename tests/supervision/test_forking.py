"""A child that is told to stop at once stops."""

import os
import subprocess
import sys
from pathlib import Path

PARENT = """
import os, signal, time
from app.supervision.forking import fork
signal.signal(signal.SIGTERM, lambda *_: None)
pid = fork()
if pid == 0:
    time.sleep(60)
    os._exit(0)
os.kill(pid, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, None)
"""


def test_a_signal_between_fork_and_exec_is_not_lost() -> None:
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", PARENT], env=environment, timeout=50, check=True)
