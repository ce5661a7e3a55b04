"""What a newcomer does: start it, look at it, put a video through it (A1, A6, A7, A15, C1, C5)."""

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from app.supervision import control
from tests.servers import wait_for
from tests.stack.harness import Stack, fresh_stack

pytestmark = pytest.mark.stack

PROGRAMS = {"api-0", "api-1", "worker", "beat", "postgres", "redis"}


def test_c1_supervisord_runs_every_program(stack: Stack) -> None:
    stack.wait_running()
    infos = control.process_info(stack.state)
    assert {info["name"] for info in infos} == PROGRAMS
    status = stack.supervisorctl("status")
    assert status.stdout.count("RUNNING") == len(PROGRAMS), status.stdout
    assert status.returncode == 0


def test_a_real_video_becomes_a_probed_file_with_a_thumbnail(stack: Stack, video: Path) -> None:
    uploaded = stack.upload(video)
    job = stack.wait_job(uploaded["job_id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job
    media = stack.client.get(f"/api/v1/media/{uploaded['id']}").json()
    assert media["state"] == "ready"
    assert media["kind"] == "video"
    assert media["duration"] == pytest.approx(10, abs=0.5)
    thumbnail = stack.client.get(f"/api/v1/media/{uploaded['id']}/thumbnail")
    assert thumbnail.status_code == 200
    assert thumbnail.content.startswith(b"\xff\xd8\xff")
    content = stack.client.get(f"/api/v1/media/{uploaded['id']}/content")
    assert content.content == video.read_bytes()


def test_the_request_id_of_an_upload_is_on_its_job_and_its_log_lines(stack: Stack, video: Path) -> None:
    uploaded = stack.upload(video, **{"X-Request-ID": "trace-me-77"})
    job = stack.wait_job(uploaded["job_id"], "succeeded")
    assert job["request_id"] == "trace-me-77"

    def are_told() -> bool:
        lines = [line for line in stack.lines() if line.get("request_id") == "trace-me-77"]
        of_the_job = any(line.get("job_id") == uploaded["job_id"] for line in lines)
        return of_the_job and "middleware" in {line["logger"].split(".")[1] for line in lines}

    wait_for(are_told, what="the lines of the request and of its job")


def test_a15_health_sees_every_part(stack: Stack) -> None:
    def is_healthy() -> bool:
        return bool(stack.client.get("/health").json()["status"] == "healthy")

    wait_for(is_healthy, what="the first heartbeats")
    body = stack.client.get("/health").json()
    assert set(body["checks"]) == {"api", "database", "redis", "celery", "beat", "workspace"}


def test_every_line_of_the_output_is_one_json_object_of_bounded_size(stack: Stack) -> None:
    lines = stack.log.read_bytes().rpartition(b"\n")[0].splitlines()
    assert len(lines) > 10
    for line in lines:
        if b"@@__xproc" not in line:
            assert isinstance(json.loads(line), dict)
            assert len(line) < 4096


def test_no_secret_stands_in_the_log(stack: Stack) -> None:
    secrets = [file.read_text() for file in stack.state.secrets.iterdir()]
    secrets += [secret.split("@")[0].rsplit(":", 1)[-1] for secret in secrets if "@" in secret]
    log = stack.log.read_text("utf-8") + (stack.state.client_configuration.read_text())
    assert not [secret for secret in [*secrets, stack.environment["SECRET_KEY"]] if secret in log]


def test_plain_supervisorctl_stops_and_starts_a_program(stack: Stack) -> None:
    before = stack.pid("beat")
    assert "stopped" in stack.supervisorctl("stop", "beat").stdout
    assert stack.supervisorctl("status").returncode == 3
    assert stack.supervisorctl("start", "all").returncode == 0
    assert stack.pid("beat") != before
    assert "started" in stack.supervisorctl("restart", "beat").stdout


def test_what_people_upload_is_for_this_account_alone(stack: Stack, video: Path) -> None:
    stack.wait_job(stack.upload(video)["job_id"], "succeeded")
    files = [path for path in (stack.state.folder / "workspace").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_the_one_time_password_that_up_shows_lets_in_once_it_is_changed() -> None:
    with fresh_stack() as stack:
        shown = run(stack, "up")
        one_time = re.findall(r"One-time password: (\w+)", shown)[0]
        try:
            answer = log_in(stack, one_time)
            stack.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            refused = stack.client.get("/api/v1/jobs")
            assert refused.status_code == 403
            assert "one-time password" in refused.json()["error"]["message"]
            passwords = {"current_password": one_time, "new_password": "correct horse battery"}
            assert stack.client.post("/api/v1/auth/password", json=passwords).status_code == 204
            assert stack.client.get("/api/v1/jobs").status_code == 200
            assert stack.client.get("/api/v1/admin/users").json()["total"] == 1
            assert log_in(stack, one_time).status_code == 401
            assert log_in(stack, "correct horse battery").status_code == 200
            assert "One-time password" not in run(stack, "up")
            assert one_time not in stack.state.log_file.read_text("utf-8")
        finally:
            run(stack, "down")


def run(stack: Stack, command: str) -> str:
    done = subprocess.run(
        stack.command(command),
        env=stack.environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def log_in(stack: Stack, password: str) -> httpx.Response:
    form = {"username": "admin@localhost.localdomain", "password": password}
    return stack.client.post("/api/v1/auth/token", data=form)
