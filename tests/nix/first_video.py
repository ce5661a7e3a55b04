"""``python3 -m tests.nix.first_video URL ONE_TIME_PASSWORD``: a first administrator's way to a preview."""

import secrets
import sys
import tempfile
from pathlib import Path

import httpx

from app.core.config import load_settings
from app.services.media.tools import find_tools
from tests.samples import Samples
from tests.servers import wait_for


def enter(client: httpx.Client, one_time: str) -> None:
    """Log in, replace the password, and have the client act with the new one."""
    email, chosen = load_settings().auth.first_admin_email, secrets.token_urlsafe(16)
    for old, new in ((one_time, chosen), (chosen, None)):
        told = client.post("auth/token", data={"username": email, "password": old}).raise_for_status()
        client.headers["Authorization"] = f"Bearer {told.json()['access_token']}"
        if new:
            changed = {"current_password": old, "new_password": new}
            client.post("auth/password", json=changed).raise_for_status()


def process(client: httpx.Client, video: Path) -> None:
    """Upload a video, wait for its job, and look at what was made of it."""
    with video.open("rb") as stream:
        told = client.post("media", files={"file": (video.name, stream)}).raise_for_status().json()
    job = f"jobs/{told['job_id']}"

    def is_over() -> bool:
        return client.get(job).raise_for_status().json()["state"] in {"succeeded", "failed"}

    # An account may ask for so much in a minute.
    wait_for(is_over, every=0.5, what="the end of the job")
    assert client.get(job).json()["state"] == "succeeded", client.get(f"{job}/logs").text
    assert b"ftyp" in client.get(f"media/{told['id']}/preview").raise_for_status().content[:16]


def main() -> None:
    """Do all of it."""
    url, one_time = sys.argv[1:]
    with (
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(base_url=f"{url}/api/v1/", timeout=30) as client,
    ):
        video = Samples(Path(folder), find_tools(load_settings().media)).path("clip.mp4", seconds=2)
        enter(client, one_time)
        process(client, video)


if __name__ == "__main__":
    main()
