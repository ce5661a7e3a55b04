"""A worker that dies in the middle of a long preview."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.models.job import ENDED
from tests.samples import Samples
from tests.servers import wait_for
from tests.stack.harness import Stack

pytestmark = pytest.mark.stack

FILM = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=20"]


@pytest.fixture
def film(samples: Samples) -> Path:
    """A video whose preview takes a while."""
    path = samples.folder / "film.mp4"
    samples.ffmpeg(*FILM, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path))
    return path


def tools(stack: Stack) -> list[psutil.Process]:
    """Every ffmpeg on this machine that works for this stack, whoever its parent is."""
    found = []
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if process.info["name"].startswith("ffmpeg") and process.cwd().startswith(
                str(stack.state.folder)
            ):
                found.append(process)
    return found


def held(stack: Stack, job: dict[str, Any]) -> list[psutil.Process]:
    """The ffmpeg that is in the middle of the job's preview, made to stand still there."""
    found = tools(stack) if job["progress_word"] == "preview" and job["progress"] > 0.2 else []
    stopped = []
    for tool in found:
        with suppress(psutil.NoSuchProcess):
            tool.suspend()
            stopped.append(tool)
    return stopped


def test_kill_9_in_mid_transcode_runs_the_job_again_and_ends_it_once(stack: Stack, film: Path) -> None:
    uploaded = stack.upload(film)
    running: list[psutil.Process] = []

    def is_held() -> bool:
        job = stack.client.get(f"/api/v1/jobs/{uploaded['job_id']}").json()
        assert job["state"] != "failed", job
        if job["state"] in ENDED:  # looked at too late
            uploaded.update(stack.upload(film))
            return False
        running[:] = held(stack, job)
        return bool(running)

    wait_for(is_held, timeout=120, what="ffmpeg to be in the middle of it")
    worker = psutil.Process(stack.pid("worker"))
    for process in [worker, *(child for child in worker.children() if child not in running)]:
        with suppress(ProcessLookupError):  # a child may have ended with its worker
            os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(tool.is_running() for tool in running), what="its ffmpeg to be gone")
    job = stack.wait_job(uploaded["job_id"], "succeeded", "failed", timeout=120)
    assert (job["state"], job["attempt"]) == ("succeeded", 2), job
    assert tools(stack) == [], "no ffmpeg is left over"
    media = stack.client.get(f"/api/v1/media/{uploaded['id']}").json()
    assert (media["state"], media["has_poster"], media["has_preview"]) == ("ready", True, True)
    beginning = stack.client.get(f"/api/v1/media/{uploaded['id']}/preview", headers={"Range": "bytes=0-99"})
    assert (beginning.status_code, beginning.content[4:8]) == (206, b"ftyp")
    assert beginning.headers["content-type"] == "video/mp4"
