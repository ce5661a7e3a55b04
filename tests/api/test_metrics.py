"""What Prometheus scrapes."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.core.config import AppSettings
from tests.configuration import make_settings
from tests.serving import serve


def counts(text: str) -> dict[tuple[str, str, str], float]:
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_count"
    }


async def test_requests_are_counted_by_method_template_and_status(client: httpx.AsyncClient) -> None:
    for name in ("redoc.js", "swagger.js", "none.js"):
        await client.get(f"/docs/assets/{name}")
    found = counts((await client.get("/metrics")).text)
    assert found[("GET", "/docs/assets/{name}", "200")] == 2
    assert found[("GET", "/docs/assets/{name}", "404")] == 1


async def test_clients_cannot_make_up_series(client: httpx.AsyncClient) -> None:
    for i in range(5):
        await client.request(f"WORD{i}", f"/scan/{i}")
    found = counts((await client.get("/metrics")).text)
    assert found[("other", "unmatched", "404")] == 5
    assert not any("WORD" in method or "scan" in route for method, route, _ in found)


async def test_without_a_token_only_loopback_is_answered(settings: AppSettings) -> None:
    async with serve(settings, client="203.0.113.9") as http:
        assert (await http.get("/metrics")).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer ümlaut".encode()}, 401),
        ({"Authorization": "Basic c2NyYXBl"}, 401),
        ({"Authorization": "Bearer scrape-me"}, 200),
    ],
    ids=["none", "wrong", "not ascii", "basic", "right"],
)
async def test_with_a_token_only_its_holder_is_answered(
    settings: AppSettings, tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    database, redis = settings.database.url.get_secret_value(), settings.redis.url.get_secret_value()
    with_token = make_settings(tmp_path, database, redis, METRICS_TOKEN="scrape-me")
    async with serve(with_token, client="203.0.113.9") as http:
        answer = await http.get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"


PROCESS = """
from app.services.metrics import Metrics
metrics = Metrics()
metrics.requests.observe("GET", "/x", 200, 0.01)
print(metrics.exposition().decode())
"""


def test_processes_that_share_a_folder_are_added_up(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROCESS], env=environment, check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    ]
    assert [counts(output)[("GET", "/x", "200")] for output in outputs] == [1, 2]
