"""What this installation is and offers (A16, V7)."""

from pathlib import Path

import httpx

from app import __version__
from app.core.config import AppSettings
from tests.configuration import make_settings
from tests.serving import NOBODY, serve


async def test_v7_ping(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/ping")
    assert (answer.status_code, answer.json()) == (200, {"ping": "pong"})


async def test_a16_info_tells_name_version_environment_features_and_limits(
    client: httpx.AsyncClient, settings: AppSettings
) -> None:
    body = (await client.get("/api/v1/info")).json()
    assert (body["name"], body["version"], body["environment"]) == ("Holdfast", __version__, "testing")
    assert body["features"] == {
        "email": False,
        "livekit": False,
        "rate_limits": True,
        "replicate": False,
        "s3_storage": False,
        "semantic_search": False,
        "static_files": False,
    }
    assert body["limits"] == {
        "max_body_size": settings.server.max_body_size,
        "max_upload_size": settings.media.max_upload_size,
        "media_quota": 50 * 1024**3,
        "max_page_size": 100,
        "max_link_seconds": 3600,
    }


async def test_a16_features_follow_the_settings(tmp_path: Path) -> None:
    values = {
        "APP_NAME": "Anchor",
        "SMTP_HOST": "mail.example.org",
        "EMAIL_FROM": "a@example.org",
        "LIVEKIT_URL": "wss://live.example.org",
        "LIVEKIT_API_KEY": "k",
        "LIVEKIT_API_SECRET": "hidden",
    }
    settings = make_settings(tmp_path, f"postgresql://nobody@{NOBODY}/none", f"redis://{NOBODY}", **values)
    async with serve(settings) as http:
        answer = await http.get("/api/v1/info")
    assert answer.json()["name"] == "Anchor"
    assert answer.json()["features"]["livekit"] is True
    assert answer.json()["features"]["email"] is True
    assert "hidden" not in answer.text
