"""What ``scripts/test-backend.sh`` tries: the nine checks (V3), and what operators rely on beside them."""

import json
import re
import time
from pathlib import Path

import psutil
import pytest

from app.services.media.probe import CODECS
from tests.container.harness import IMAGE, Container, among, docker
from tests.samples import Samples
from tests.servers import wait_for

pytestmark = pytest.mark.container

OF_OTHER_BUILDS = {"av1", "libaom-av1", "libopus", "libspeex", "libvorbis", "webp_anim"}
"""Second decoders of what the image decodes with another, and one that its ffmpeg does not know yet."""

PROGRAMS = {"api-0", "api-1", "worker", "beat"}


@pytest.fixture(scope="module")
def video(samples: Samples) -> Path:
    return samples.path("clip.mp4", seconds=2)


def test_v3_1_the_image_exists() -> None:
    assert docker("image", "inspect", "--format", "{{.Os}}", IMAGE) == "linux"


def test_v3_2_it_starts_and_migrates(shared: Container) -> None:
    assert shared.state()["Running"]
    messages = shared.messages()
    assert messages.index("container_starts") < messages.index("schema_up_to_date")
    assert messages.index("schema_up_to_date") < messages.index("supervision begins")


def test_v3_3_it_turns_healthy(shared: Container) -> None:
    def is_healthy() -> bool:
        health = shared.state()["Health"]
        said = health["Log"][-1]["Output"].strip() if health["Log"] else ""
        return (health["Status"], said) == ("healthy", "alive: api, beat, worker")

    wait_for(is_healthy, what="the engine's own verdict")


def proportional(container: Container) -> float:
    """The memory of the stack, each page that several processes share divided among them; in megabytes.

    What an engine runs in it beside the stack, such as the health check, comes and goes.
    """
    return sum(process.memory_full_info().pss for process in container.members()) / 1e6


def test_an_idle_stack_shares_what_it_loads(shared: Container, figures: dict[str, str]) -> None:
    megabytes = proportional(shared)
    figures["proportional memory of an idle stack"] = f"{megabytes:.0f} MB"
    assert 0 < megabytes < 400


def test_v3_4_health_answers(shared: Container) -> None:
    wait_for(lambda: shared.http.get("/health").json()["status"] == "healthy", what="every part's health")
    checks = shared.http.get("/health").json()["checks"]
    assert set(checks) == {"api", "database", "redis", "celery", "beat", "workspace"}


def test_v3_5_ffmpeg_is_there_and_decodes_what_is_met(shared: Container) -> None:
    for tool in ("ffmpeg", "ffprobe"):
        assert shared.told(tool, "-version").startswith(f"{tool} version")
    doctor = json.loads(shared.told("holdfast", "doctor", "--json"))
    assert not [finding for finding in doctor if finding["subject"] == "media decoders"], "one is missing"


@pytest.mark.dockerfile("nixpkgs' arguments can leave out the network, but no single protocol")
def test_v3_5_ffmpeg_knows_no_network(shared: Container) -> None:
    protocols = shared.told("ffmpeg", "-hide_banner", "-protocols").split()
    assert set(protocols[protocols.index("Input:") :]) == {"Input:", "Output:", "fd", "file", "pipe"}


@pytest.mark.dockerfile("nixpkgs' arguments choose libraries, and not the decoders that are ffmpeg's own")
def test_its_decoders_are_those_that_files_may_use(shared: Container) -> None:
    listed = shared.told("ffmpeg", "-hide_banner", "-decoders").partition("------\n")[2]
    decoders = {line.split()[1] for line in listed.splitlines()}
    assert set(CODECS.split(",")) - decoders == OF_OTHER_BUILDS
    assert decoders <= set(CODECS.split(",")), "and no more"


def test_v3_6_python_is_3_13(shared: Container) -> None:
    assert shared.told("python3", "--version").startswith("Python 3.13.")


def test_v3_7_it_is_not_root_and_the_account_has_no_shell(shared: Container) -> None:
    uids = {line for process in shared.members() for line in str(process.uids().real).split()}
    assert uids == {"12345"}, "the account that was asked for, which is in no list"
    assert docker("image", "inspect", "--format", "{{.Config.User}}", IMAGE) == "10001:0"
    accounts = dict(line.split(":", 1) for line in shared.told("cat", "/etc/passwd").splitlines())
    assert accounts["appuser"] == "x:10001:0:Holdfast:/nonexistent:/usr/sbin/nologin"


def test_v3_8_the_api_answers(shared: Container) -> None:
    assert shared.http.get("/api/v1/ping").status_code == 200
    assert shared.http.get("/api/v1/info").json()["environment"] == "production"


def test_v3_9_there_are_no_errors_in_its_output_and_every_line_is_json(shared: Container) -> None:
    lines = list(shared.lines())
    assert len(lines) > 10
    assert [line for line in lines if line["level"] in {"ERROR", "CRITICAL"}] == []


def test_uploads_are_processed_by_its_own_tools(shared: Container, video: Path) -> None:
    with video.open("rb") as stream:
        answer = shared.http.post("/api/v1/media", files={"file": (video.name, stream)})
    assert answer.status_code in {201, 202}, answer.text
    job = shared.wait_job(answer.json()["job_id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job
    media = f"/api/v1/media/{answer.json()['id']}"
    made = {
        name: shared.http.get(f"{media}/{name}") for name in ("thumbnail", "poster", "preview", "waveform")
    }
    assert {name: answer.status_code for name, answer in made.items()} == dict.fromkeys(made, 200)
    assert made["thumbnail"].content.startswith(b"\xff\xd8")
    assert b"ftyp" in made["preview"].content[:16]


def test_nothing_but_volumes_can_be_written(shared: Container) -> None:
    found = shared.told("find", "/", "-xdev", "-writable", "-not", "-type", "l", "-not", "-path", "/dev/*")
    paths = {path for path in found.split() if not path.startswith("/proc/")}
    assert paths == {"/run", "/tmp", "/workspace"}
    assert shared.execute("touch", "/workspace/x", "/tmp/x", "/run/x").returncode == 0


def test_its_secrets_are_in_no_environment(shared: Container) -> None:
    given = json.loads(docker("inspect", "--format", "{{json .Config.Env}}", shared.name))
    assert not [line for line in given if line.startswith(("DATABASE_URL", "REDIS_URL", "SECRET_KEY"))]


def test_c3_supervisorctl_works_as_it_is(shared: Container) -> None:
    status = shared.execute("supervisorctl", "status")
    assert status.returncode == 0, status.stdout
    names = {line.split()[0].rpartition(":")[2] for line in status.stdout.splitlines()}
    assert names == PROGRAMS
    before = shared.pids()
    rolled = shared.execute("supervisorctl", "rolling", "api")
    assert rolled.returncode == 0, rolled.stdout
    assert len(re.findall("replaced in", rolled.stdout)) == 2
    rolled_over = {before[name] for name in ("api-0", "api-1")}
    wait_for(lambda: rolled_over.isdisjoint(shared.pids().values()), what="their successors to be told of")


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_kill_9_of_any_program_is_answered_with_a_new_one(
    shared: Container, figures: dict[str, str], name: str
) -> None:
    killed, begin = shared.pids()[name], time.time()
    begun = time.monotonic()
    shared.hurt(killed)

    def beats() -> bool:
        mtime = shared.execute("stat", "-c", "%Y", f"/run/holdfast/heartbeats/{name}").stdout
        return shared.pids()[name] not in {0, killed} and int(mtime or 0) >= int(begin)

    wait_for(shared.is_ready, what="an answer")
    figures[f"kill -9 of {name}: served again after"] = f"{time.monotonic() - begun:.1f} s"
    wait_for(beats, what=f"a cycle of the new {name}")
    figures[f"kill -9 of {name}: replaced after"] = f"{time.monotonic() - begun:.1f} s"


def zombies(container: Container) -> list[psutil.Process]:
    """Processes that have ended, and that nobody has asked about."""
    return among(container.members(), lambda member: member.status() == psutil.STATUS_ZOMBIE)


def named(container: Container, name: str) -> list[psutil.Process]:
    """Processes that run a program of this name."""
    return among(container.members(), lambda member: member.name() == name)


def test_the_first_process_reaps_orphans(shared: Container) -> None:
    shared.execute("sh", "-c", "sleep 300 &")
    wait_for(lambda: named(shared, "sleep"), what="it to begin")
    (mine,) = named(shared, "sleep")
    wait_for(lambda: mine.ppid() == shared.state()["Pid"], what="the first process to take it in")
    mine.kill()
    wait_for(lambda: not psutil.pid_exists(mine.pid), what="the end of its entry")
    wait_for(lambda: not zombies(shared), what="all other entries to end")


def test_one_off_commands_run_in_it(shared: Container) -> None:
    made = shared.execute("holdfast", "create-admin", "--json", "root@example.com")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["email"] == "root@example.com"
    label = '{{index .Config.Labels "org.opencontainers.image.version"}}'
    version = docker("image", "inspect", "--format", label, IMAGE)
    assert docker("run", "--rm", IMAGE, "holdfast", "--version") == version


def test_a_stack_that_has_worked_shares_it_still(shared: Container, figures: dict[str, str]) -> None:
    megabytes = proportional(shared)
    figures["proportional memory after the tests of one container"] = f"{megabytes:.0f} MB"
    assert 0 < megabytes < 400
