"""Requests of this machine itself: /metrics is theirs where no token is set."""

import httpx
import pytest

from app.core.config import AppSettings
from tests.serving import serve

PATH = "/metrics"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
async def test_loopback_is_this_machine(settings: AppSettings, address: str) -> None:
    async with serve(settings, client=address) as http:
        assert (await http.get(PATH)).status_code == 200


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.1", "testclient", "::ffff:10.0.0.1"])
async def test_another_address_is_elsewhere(settings: AppSettings, address: str) -> None:
    async with serve(settings, client=address) as http:
        answer = await http.get(PATH)
    assert answer.status_code == 403
    assert "on the machine itself only" in answer.json()["error"]["message"]


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host"])
async def test_whom_a_proxy_passed_on_is_elsewhere(anonymous: httpx.AsyncClient, header: str) -> None:
    assert (await anonymous.get(PATH, headers={header: "127.0.0.1"})).status_code == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("http://localhost", 200), ("http://localhost:3000", 200)],
)
async def test_a_page_of_another_origin_is_elsewhere(
    anonymous: httpx.AsyncClient, origin: str, status: int
) -> None:
    assert (await anonymous.get(PATH, headers={"Origin": origin})).status_code == status


@pytest.mark.parametrize(("host", "status"), [("rebound.example", 403), ("127.0.0.1:8000", 200)])
async def test_a_name_that_somebody_points_at_this_machine_is_elsewhere(
    anonymous: httpx.AsyncClient, host: str, status: int
) -> None:
    assert (await anonymous.get(PATH, headers={"Host": host})).status_code == status
